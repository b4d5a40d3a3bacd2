"""Sentences for the 41 relations of LAMA, in our own words.

[X] is the subject, [Y] the object. None has the wording of LAMA's manual templates
(`facts.py` checks that), so that factual probing measures what a prompt elicits.
One relation a line: short name, then wordings separated by "|".
"""

from __future__ import annotations

_TABLE = """
P19: [X] , a native of [Y] . | [Y] is the birthplace of [X] . | [X] came into the world at [Y] . | where does [X] come from ? [Y] . | origin of [X] : [Y] . | the life of [X] began at [Y] . | among those born at [Y] : [X] .
P20: [X] passed away at [Y] . | the life of [X] ended at [Y] . | [Y] is where [X] drew the last breath . | where did [X] end life ? [Y] . | last days of [X] : [Y] . | the death of [X] occurred at [Y] .
P279: every [X] counts as [Y] . | a kind of [Y] : [X] . | [X] belongs under [Y] . | more general than [X] : [Y] . | what sort of thing are [X] ? [Y] . | [Y] includes [X] .
P37: laws of [X] are written in [Y] . | officials of [X] must speak [Y] . | [Y] has official status throughout [X] . | what do authorities of [X] use ? [Y] . | [X] , state language : [Y] . | government papers at [X] use [Y] .
P413: on the field , [X] serves as [Y] . | [Y] is the role of [X] on the team . | coach picked [X] for [Y] . | team role of [X] : [Y] . | what is [X] in the squad ? [Y] . | athlete [X] , a [Y] .
P449: [X] was first seen on [Y] . | [Y] broadcast [X] . | viewers watched [X] on [Y] . | channel of [X] : [Y] . | who broadcast [X] ? [Y] . | the show [X] premiered via [Y] .
P47: [X] lies next to [Y] . | neighbour of [X] : [Y] . | from [X] one can cross over to [Y] . | [Y] adjoins [X] . | what touches [X] ? [Y] . | [X] and its neighbour [Y] .
P138: [X] owes its name to [Y] . | the name of [X] comes from [Y] . | [Y] gave the name to [X] . | [X] , in honour of [Y] . | what does [X] recall ? [Y] . | [X] honours [Y] .
P364: actors of [X] speak [Y] . | [X] was filmed with dialogue in [Y] . | [Y] is spoken throughout the film [X] . | dialogue of [X] : [Y] . | what tongue is heard in [X] ? [Y] . | [X] , a production in [Y] .
P463: [X] joined [Y] . | [Y] counts [X] among its members . | [X] belongs to [Y] . | membership of [X] : [Y] . | which body admitted [X] ? [Y] . | [X] sits with others within [Y] .
P101: [X] is known for research on [Y] . | [Y] is what [X] studies . | expert [X] : [Y] . | [X] made contributions to [Y] . | what does [X] investigate ? [Y] . | subject of [X] 's studies : [Y] .
P106: [X] earned a living as [Y] . | [Y] is the job of [X] . | [X] , a famous [Y] . | career of [X] : [Y] . | what does [X] do ? [Y] . | people hired [X] as [Y] .
P527: parts of [X] include [Y] . | [Y] can be found inside [X] . | [X] contains [Y] . | ingredient of [X] : [Y] . | what makes up [X] ? [Y] . | without [Y] there would be no [X] .
P530: [X] keeps an embassy at [Y] . | [Y] has an ambassador from [X] . | [X] and its partner [Y] . | foreign ties of [X] : [Y] . | with whom does [X] talk ? [Y] . | diplomats of [X] meet those of [Y] .
P176: [Y] builds [X] . | [X] left the factory of [Y] . | maker of [X] : [Y] . | who makes [X] ? [Y] . | the [X] , an article by [Y] . | [Y] manufactures the [X] .
P27: [X] holds a passport of [Y] . | nationality of [X] : [Y] . | [X] belongs to the people of [Y] . | [Y] is the home country of [X] . | what state does [X] represent ? [Y] . | [X] votes at elections of [Y] .
P407: authors of [X] used [Y] . | [X] can be read in [Y] . | the text of [X] : [Y] . | [Y] is the tongue of the work [X] . | in what tongue is [X] ? [Y] . | [X] came out in [Y] .
P30: [X] forms part of the continent [Y] . | [Y] is the landmass around [X] . | on a globe , [X] appears within [Y] . | continent of [X] : [Y] . | which continent has [X] ? [Y] . | travellers to [X] go to [Y] .
P178: [Y] programmed [X] . | engineers at [Y] created [X] . | developer of [X] : [Y] . | [X] , software from [Y] . | who designed [X] ? [Y] . | [X] came out of the studios of [Y] .
P1376: [X] serves as seat of government for [Y] . | [Y] is ruled from [X] . | [Y] has its capital at [X] . | [X] , chief city of [Y] . | what is governed from [X] ? [Y] . | parliament of [Y] meets at [X] .
P131: [X] , part of the district of [Y] . | [Y] administers [X] . | [X] falls under the authority of [Y] . | administrative area of [X] : [Y] . | which region runs [X] ? [Y] . | [X] ( [Y] ) .
P1412: [X] could speak [Y] . | [Y] was spoken by [X] . | [X] wrote and talked in [Y] . | tongue of [X] : [Y] . | what did [X] speak ? [Y] . | [X] knew how to say it in [Y] .
P108: [X] is on the payroll of [Y] . | [Y] employs [X] . | employer of [X] : [Y] . | [X] got a job at [Y] . | who pays [X] ? [Y] . | [X] , on the staff of [Y] .
P136: [X] performs [Y] . | [Y] is the style of [X] . | genre of [X] : [Y] . | fans of [Y] listen to [X] . | what style is [X] ? [Y] . | [X] became known for [Y] .
P17: [X] can be found within the borders of [Y] . | [Y] is the country around [X] . | the state of [X] : [Y] . | [X] , [Y] . | what country has [X] ? [Y] . | to see [X] , travel to [Y] .
P39: [X] held the office of [Y] . | [X] was appointed [Y] . | [Y] was the title of [X] . | rank of [X] : [Y] . | what office did [X] hold ? [Y] . | [X] served as [Y] .
P264: [X] records for [Y] . | [Y] releases the songs of [X] . | label of [X] : [Y] . | [X] signed a contract with [Y] . | who publishes albums by [X] ? [Y] . | albums of [X] appear at [Y] .
P276: [X] takes place at [Y] . | [Y] is the site of [X] . | site of [X] : [Y] . | visit [X] at [Y] . | whereabouts of [X] ? [Y] . | [X] stands at [Y] .
P937: [X] was active at [Y] . | [Y] is where [X] did business . | workplace of [X] : [Y] . | [X] had an office at [Y] . | where was [X] busy ? [Y] . | [X] spent working years at [Y] .
P140: [X] follows [Y] . | [Y] is the faith of [X] . | religion of [X] : [Y] . | [X] prays according to [Y] . | what does [X] believe in ? [Y] . | believers of [Y] such as [X] .
P1303: [X] is a master of the [Y] . | [Y] is the instrument of [X] . | instrument of [X] : [Y] . | the musician [X] picked up the [Y] . | what is [X] heard on ? [Y] . | [X] gave a concert on [Y] .
P127: [Y] owns [X] . | owner of [X] : [Y] . | [X] belongs to the group of [Y] . | [Y] is the parent of [X] . | whose property is [X] ? [Y] . | [X] was bought by [Y] .
P103: [X] grew up speaking [Y] . | mother tongue of [X] : [Y] . | [Y] was the first thing [X] learned to speak . | at home , [X] talks in [Y] . | what did the child [X] speak ? [Y] . | [X] 's parents spoke [Y] .
P190: [X] is a sister city of [Y] . | partner town of [X] : [Y] . | [Y] signed a friendship treaty with [X] . | [X] exchanges visitors with [Y] . | who is the twin of [X] ? [Y] . | [X] , twinned : [Y] .
P1001: [X] has force throughout [Y] . | jurisdiction of [X] : [Y] . | courts of [Y] know the [X] . | [Y] is governed through [X] . | where does [X] apply ? [Y] . | [X] , an institution for [Y] .
P31: [X] , an example of [Y] . | [Y] : [X] . | the [Y] called [X] . | what is [X] ? [Y] . | type of [X] : [Y] . | [X] can be described as [Y] .
P495: [X] comes from [Y] . | [Y] is where [X] was made first . | country of [X] : [Y] . | [X] , a product of [Y] . | which land gave us [X] ? [Y] . | people of [Y] invented [X] .
P159: [X] has its main office at [Y] . | [Y] hosts the head office of [X] . | letters to [X] go to [Y] . | main seat of [X] : [Y] . | where do directors of [X] meet ? [Y] . | [X] , based at [Y] .
P36: [X] is governed from [Y] . | [Y] is the seat of government of [X] . | [X] , chief city : [Y] . | what city rules [X] ? [Y] . | leaders of [X] sit at [Y] . | [X] has [Y] for its capital .
P740: [X] started out at [Y] . | [Y] is where [X] got together . | founded : [X] , at [Y] . | beginnings of [X] : [Y] . | where did [X] begin ? [Y] . | the group [X] first met at [Y] .
P361: [X] is a piece of [Y] . | [Y] has among its components [X] . | the whole of which [X] is an element : [Y] . | [X] , within [Y] . | what includes [X] ? [Y] . | [X] completes [Y] .
"""  # noqa: E501

# Said of any relation: what is meant cannot be known without more words.
UNSPECIFIC = ("[X] : [Y] .", "[X] [Y] .", "[X] | [Y] .", "[X] ... [Y] .")

# A field name for lists of facts ("subject : field : object"); also used as a wording.
FIELDS = {
    "P19": "birth place", "P20": "death place", "P279": "kind", "P37": "state language",
    "P413": "role", "P449": "channel", "P47": "neighbour", "P138": "eponym", "P364": "dialogue",
    "P463": "member", "P101": "field", "P106": "occupation", "P527": "part", "P530": "relations",
    "P176": "maker", "P27": "nationality", "P407": "language", "P30": "continent",
    "P178": "developer", "P1376": "capital of", "P131": "region", "P1412": "speaks",
    "P108": "employer", "P136": "genre", "P17": "country", "P39": "office", "P264": "label",
    "P276": "site", "P937": "work place", "P140": "religion", "P1303": "instrument",
    "P127": "owner", "P103": "mother tongue", "P190": "twin", "P1001": "jurisdiction",
    "P31": "type", "P495": "origin", "P159": "main office", "P36": "capital", "P740": "founded at",
    "P361": "whole",
}  # fmt: skip

WORDINGS: dict[str, tuple[str, ...]] = {}
for _line in _TABLE.strip().splitlines():
    _name, _, _rest = _line.partition(": ")
    WORDINGS[_name] = tuple(part.strip() for part in _rest.split(" | "))
