"""Every format gives the same rows; every kind of damage gives one clear error with its place."""

import gzip
import json

import pytest

from promptgraft.errors import DataError
from promptgraft.tasks.readers import read

ROWS = [
    {"text": 'good, "really" good', "label": "yes"},
    {"text": "two\nlines\tand a tab", "label": "no"},
    {"text": "ünïcode 😀", "label": "yes"},
]


def write(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_csv(rows, delimiter):
    """Quoted by hand: every value in double quotes, quotes inside doubled."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(
        delimiter.join('"' + value.replace('"', '""') + '"' for value in line) + "\r\n"
        for line in lines
    )


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.csv.gz", "a.tsv", "a.TSV"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_formats_give_the_same_rows(tmp_path, name, mark):
    content = {"j": as_jsonl(ROWS), "c": as_csv(ROWS, ","), "t": as_csv(ROWS, "\t")}[
        name[2].lower()
    ]
    content = mark + content.encode()
    path = write(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    assert [row for _, row in read(path)] == ROWS


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    assert [row for _, row in read(path)] == ROWS
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"a\.parquet is not a whole Parquet file"):
        list(read(path))


def test_places_are_lines(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"a": 1}\n\n{"a": 2}\n')
    assert [place for place, _ in read(path)] == [f"{path}, line 1", f"{path}, line 3"]


def test_long_values(tmp_path):
    text = "word " * 100_000
    path = write(tmp_path / "a.csv", as_csv([{"text": text}], ","))
    assert [row for _, row in read(path)] == [{"text": text}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', "line 2: not JSON"),
        ("a.jsonl", '{"a": 1}\n["a"]\n', 'line 2: expected a JSON object .* got \\["a"\\]'),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xe4"}\n', "line 2: the byte 0xe4 is not UTF-8"),
        ("a.csv", b"a,b\n1,2\n\xff,3\n", "line 3: the byte 0xff is not UTF-8"),
        ("a.csv", "a,b\n1,2,3\n", "line 2: 3 values for the 2 columns a, b"),
        ("a.csv", 'a,b\n"1\n2",3\n4\n', "line 4: 1 values"),
        ("a.csv", 'a,b\n"1,2\n', "line 2: unexpected end of data"),
        ("a.csv", "a,a\n1,2\n", "line 1: expected a header"),
        ("a.csv", "a,\n1,2\n", "line 1: expected a header"),
        ("a.jsonl.gz", b"plain text\n", "not a whole gzip file"),
        ("a.txt", "text", "not of a known format; its name must end in .jsonl"),
    ],
)
def test_damage(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=message) as error:
        list(read(path))
    assert str(path) in str(error.value)


def test_gzip_files_cut_or_changed(tmp_path):
    content = gzip.compress(as_jsonl([{"number": number} for number in range(3000)]).encode())
    changed = bytearray(content)
    changed[len(content) // 2] ^= 0xFF
    for damaged in (content[: len(content) // 2], content[:-3], bytes(changed)):
        with pytest.raises(DataError, match=r"a\.jsonl\.gz"):
            list(read(write(tmp_path / "a.jsonl.gz", damaged)))


def test_missing_file_names_the_nearest(tmp_path):
    write(tmp_path / "reviews.csv", "a\n")
    with pytest.raises(DataError, match=r"no file .*review\.csv\. Did you mean 'reviews\.csv'"):
        read(tmp_path / "review.csv")
