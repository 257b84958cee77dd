"""Only regular files are opened, through no link, and not without end."""

import os

import pytest

from src import files


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "thesis"
    path.write_text("of somebody's")
    return path


def link(path, outside):
    path.symlink_to(outside)


def dangling(path, outside):
    path.symlink_to(outside.with_name("nowhere"))


def folder(path, outside):
    path.mkdir()


def pipe(path, outside):
    os.mkfifo(path)


@pytest.mark.parametrize("make", [link, dangling, folder, pipe])
@pytest.mark.parametrize("use", [files.open_to_read, files.open_to_append, files.read])
def test_what_is_no_file_is_not_opened(tmp_path, outside, make, use):
    make(tmp_path / "it", outside)
    with pytest.raises(OSError, match=r"no regular file|Is a directory"):
        use(tmp_path / "it")
    assert outside.read_text() == "of somebody's"
    assert not outside.with_name("nowhere").exists()


def test_a_link_is_replaced_and_not_written_through(tmp_path, outside):
    (tmp_path / "it").symlink_to(outside)
    (tmp_path / ".it.writing").symlink_to(outside)
    files.write(tmp_path / "it", "new")
    assert (tmp_path / "it").read_text() == "new"
    assert not (tmp_path / "it").is_symlink()
    assert outside.read_text() == "of somebody's"
    assert not (tmp_path / ".it.writing").exists()


def test_no_more_is_read_than_is_asked_for(tmp_path):
    (tmp_path / "it").write_bytes(b"12345")
    assert files.read(tmp_path / "it", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        files.read(tmp_path / "it", 4)
    os.truncate(tmp_path / "it", 1 << 40)
    with pytest.raises(OSError, match="more than"):
        files.read(tmp_path / "it", 4)


def test_what_cannot_be_written_leaves_the_old_text(tmp_path, monkeypatch):
    files.write(tmp_path / "it", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(tmp_path / "it", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
    assert (tmp_path / "it").read_text() == "old"


def test_a_second_name_of_a_file_is_not_written_to(tmp_path, outside):
    os.link(outside, tmp_path / "it")
    files.unshare(tmp_path / "it")
    with files.open_to_append(tmp_path / "it") as file:
        file.write(b", and more")
    assert outside.read_text() == "of somebody's"
    assert (tmp_path / "it").read_text() == "of somebody's, and more"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        *(("a\nb\t c", "a b c"), ("x" * 300, "x" * 197 + "..."), (3, "3")),
        *(("\x1b[2J", r"\x1b[2J"), ("caf\udce9", r"caf\udce9"), ("é", "é")),
    ],
    ids=["lines", "long", "number", "terminal", "no Unicode", "Unicode"],
)
def test_a_text_for_a_message_is_one_line_and_ends(text, line):
    assert files.clipped(text) == line


def test_the_first_irregular_thing_is_found(tmp_path, outside):
    (tmp_path / "run" / "a").mkdir(parents=True)
    (tmp_path / "run" / "a" / "file").touch()
    assert files.irregular(tmp_path / "run") is None
    (tmp_path / "run" / "a" / "link").symlink_to(outside)
    assert files.irregular(tmp_path / "run") == tmp_path / "run" / "a" / "link"
