"""PersonaChat, DailyDialog, Topical-Chat, AVSD and MultiWOZ: a few turns in each official form."""

import pytest

from promptgraft import tasks
from promptgraft.errors import DataError
from promptgraft.tasks import published
from writing import put

PERSONA = """1 your persona: i like to ski.
2 your persona: i eat kosher.
3 hi , how are you ?\tfine , and you ?\t\tno .|fine , and you ?
4 good .\tgreat !\t\tgreat !|never .
1 your persona: i read.
2 hello\thi there\t\thi there
"""
FACTS = "i like to ski. [SEP] i eat kosher. [X_SEP] "


def pairs(task, split="train"):
    return [(row["source"], task.answer(row)) for row in task.rows(split)]


def test_personachat_of_parlai(data):
    put(data / "personachat" / "train_self_original.txt", PERSONA)
    put(data / "personachat" / "valid_self_original.txt", PERSONA)
    assert pairs(tasks.load("personachat")) == [
        (f"{FACTS}hi , how are you ?", "fine , and you ?"),
        (f"{FACTS}hi , how are you ? [SEP] fine , and you ? [SEP] good .", "great !"),
        ("i read. [X_SEP] hello", "hi there"),
    ]


def test_personachat_as_json(data):
    first = {"history": ["hi"], "candidates": ["no", "fine"]}
    second = {"history": ["hi", "fine", "good"], "candidates": ["no", "great"]}
    dialogue = {"personality": ["i ski."], "utterances": [first, second]}
    put(data / "personachat" / "personachat_self.json", {"train": [dialogue], "valid": [dialogue]})
    task = tasks.load("personachat")
    expected = [
        ("i ski. [X_SEP] hi", "fine"),
        ("i ski. [X_SEP] hi [SEP] fine [SEP] good", "great"),
    ]
    assert pairs(task) == pairs(task, "validation") == expected


def test_dailydialog_keeps_five_turns(data):
    turns = [f"turn {number} ." for number in range(8)]
    line = " __eou__ ".join(turns) + " __eou__\n"
    put(data / "dailydialog" / "train" / "dialogues_train.txt", line)
    put(data / "dailydialog" / "validation" / "dialogues_validation.txt", line)
    found = pairs(tasks.load("dailydialog"))
    assert len(found) == 7
    assert found[0] == ("turn 0 .", "turn 1 .")
    assert found[-1] == (" [SEP] ".join(turns[2:7]), "turn 7 .")


def test_topical_chat(data):
    turns = [{"message": text, "agent": "agent_1"} for text in ("One?", "Two.", "Three.")]
    for name in ("train", "valid_freq", "valid_rare"):
        put(data / "topical_chat" / "conversations" / f"{name}.json", {"t_1": {"content": turns}})
    task = tasks.load("topical_chat")
    assert pairs(task) == [("One?", "Two."), ("One? [SEP] Two.", "Three.")]
    assert len(task.rows("validation")) == 4  # both files


def test_avsd_with_answers_to_be_given_and_with_several(data):
    def dialogue(*answers):
        turns = [{"question": f"q{n} ?", "answer": answer} for n, answer in enumerate(answers)]
        return {"dialogs": [{"image_id": "X", "caption": "a man eats .", "dialog": turns}]}

    name = data / "avsd" / "train_set4DSTC7-AVSD.json"
    put(name, dialogue("yes", "no"))
    put(data / "avsd" / "valid_set4DSTC7-AVSD.json", dialogue("yes", "__UNDISCLOSED__"))
    put(data / "avsd" / "test_set4DSTC7-AVSD_multiref.json", dialogue("yes", ["no", "not so"]))
    task = tasks.load("avsd")
    assert pairs(task) == [
        ("a man eats . [X_SEP] q0 ?", "yes"),
        ("a man eats . [X_SEP] q0 ? [SEP] yes [SEP] q1 ?", "no"),
    ]
    assert pairs(task, "validation") == [("a man eats . [X_SEP] q0 ?", "yes")]
    assert task.references(task.rows("test")[1]) == ["no", "not so"]


def test_multiwoz_of_either_version(data):
    texts = ["I need a train.", "Where to?", "Ely.", "Booked."]
    expected = [(texts[0], texts[1]), (" [SEP] ".join(texts[:3]), texts[3])]
    log = {"log": [{"text": text, "metadata": {}} for text in texts], "goal": {}}
    folder = data / "multiwoz" / "MultiWOZ_2.1"
    put(folder / "data.json", {f"{name}.json": log for name in "ABC"})
    put(folder / "valListFile.json", "B.json\n")
    put(folder / "testListFile.json", "C.json\n")
    task = tasks.load("multiwoz")
    for split in tasks.SPLITS:
        assert pairs(task, split) == expected
    turns = {"speaker": [0, 1, 0, 1], "utterance": texts}  # as the hub has them
    found = published.get("multiwoz").rows("hub", {"turns": turns}, True)
    assert [(row["source"], row["references"][0]) for row in found] == expected
    (folder / "valListFile.json").unlink()
    with pytest.raises(DataError, match=r"data\.json needs valListFile\.json beside it"):
        tasks.load("multiwoz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("personachat", "1 your persona: a\nhello\n", "line 2: expected a number and a text"),
        ("personachat", "1 your persona: a\n2 hello\n", "line 2: no tab between a turn"),
        ("avsd", {"dialogs": [{"caption": "c", "dialog": [{"answer": "a"}]}]}, "1: no 'question'"),
        ("avsd", {"x": 1}, "expected an object with a list 'dialogs'"),
        ("topical_chat", {"t_1": {"content": [{"agent": "a"}]}}, "t_1: no 'message'"),
        ("topical_chat", {"t_1": []}, "t_1: expected an object"),
        ("multiwoz", [{"turns": "no"}], "dialogue 1: expected a list of objects"),
    ],
)
def test_damage_is_named_with_file_and_place(tmp_path, name, content, message):
    path = tmp_path / ("file.txt" if isinstance(content, str) else "file.json")
    put(path, content)
    with pytest.raises(DataError, match=message) as error:
        tasks.load(str(path), format=name, validation=str(path)).rows("train")
    assert str(path) in str(error.value)
