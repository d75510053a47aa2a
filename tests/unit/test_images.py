"""Building images without a builder: what one is told, what becomes of what it answers, what goes into an image."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from forestay import LOCAL
from forestay.errors import ForestayError, InputError, OutsideError, RunFailed
from scoring.folder import open_folder
from scoring.images import build, builders, choice, indexes
from scoring.images.builders import AZURES_PLATFORM, Builder
from scoring.images.context import context, labels
from tests import served

FAKE = """\
#!{python} -I
import json, pathlib, sys
place, words = pathlib.Path({place!r}), sys.argv[1:]
with (place / "calls").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")
answers = json.loads((place / "answers.json").read_text())
code, text = answers.get(words[0], [0, ""])
if words[0] == "build" and code == 0:
    pathlib.Path(words[words.index("--iidfile") + 1]).write_text("sha256:" + "a" * 64)
if words[0] == "push" and "--digestfile" in words and code == 0:
    pathlib.Path(words[words.index("--digestfile") + 1]).write_text("sha256:" + "b" * 64)
print(text)
sys.exit(code)
"""


class Fake:
    """A builder's program that writes down what it is told, and answers as it was told to."""

    def __init__(self, place: Path, name: str) -> None:
        self.place, self.answers = place, {}
        program = place / name
        program.write_text(FAKE.format(python=sys.executable, place=str(place)))
        program.chmod(0o755)
        self.builder = Builder(name, str(program))
        self.answer()

    def answer(self, **answers: list[object]) -> None:
        self.answers.update(answers)
        (self.place / "answers.json").write_text(json.dumps(self.answers))

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.place / "calls").read_text().splitlines()]


@pytest.fixture(params=builders.NAMES)
def fake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(tmp_path, request.param)
    monkeypatch.setenv("PATH", str(tmp_path))
    return made


def test_built_then_found_then_pushed(fake: Fake, bank: tuple[Path, Path]) -> None:
    said: list[str] = []
    fake.answer(build=[0, "STEP 1 from https://user:secret@host/x"])
    home, folder = bank
    made, built = build.build(folder, "reg.example/bank:1", builder=fake.builder, home=home, say=said.append)
    assert built
    assert made.digest == "sha256:" + "a" * 64
    assert f"  {fake.builder.name} | STEP 1 from https://host/x" in said
    words = next(call for call in fake.calls if call[0] == "build")
    assert f"forestay.content={made.content}" in words
    assert ("--format" in words) == (fake.builder.name != "docker")

    fake.answer(images=[0, "sha256:" + "c" * 64])
    again, built = build.build(folder, "reg.example/bank:2", builder=fake.builder, home=home)
    assert (built, again.digest, again.content) == (False, "sha256:" + "c" * 64, made.content)
    assert ["tag", again.digest, "reg.example/bank:2"] in fake.calls

    fake.answer(image=[0, json.dumps(["other/bank@sha256:x", "reg.example/bank@sha256:" + "b" * 64])], info=[0, ""])
    pushed = build.push(again, home=home)
    assert build.find("reg.example/bank:2", home) == pushed
    assert pushed.image == "reg.example/bank@sha256:" + "b" * 64
    assert [call[-1] for call in fake.calls if call[0] == "push"] == [pushed.own_tag, "reg.example/bank:2"]
    with pytest.raises(InputError, match=r"no image reg\.example/bank:1 was built here"):
        build.find("reg.example/bank:1", home)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("error: dial tcp: lookup reg.example: no such host", OutsideError),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", RunFailed),
    ],
)
def test_a_build_that_fails_tells_its_last_error(
    fake: Fake, bank: tuple[Path, Path], said: str, kind: type[ForestayError]
) -> None:
    fake.answer(build=[1, f"STEP 1\n{said}\ncleaning up"], images=[0, ""])
    with pytest.raises(kind, match=said[:20]) as caught:
        build.build(bank[1], "bank:3", builder=fake.builder, home=bank[0])
    assert type(caught.value) is kind
    with pytest.raises(InputError):
        build.find("bank:3", bank[0])


def test_what_goes_to_azure_is_of_azures_platform_on_any_machine(
    fake: Fake, bank: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, folder = bank
    contents: dict[str, set[str]] = {}
    for machine, tag, env in (
        ("x86_64", "reg.azurecr.io/bank:4", LOCAL), ("arm64", "reg.azurecr.io/bank:4", LOCAL),
        ("arm64", "bank:4", "dev"), ("x86_64", "bank:4", LOCAL),
        ("aarch64", "bank:4", LOCAL), ("aarch64", "127.0.0.1:5000/bank:4", LOCAL),
    ):  # fmt: skip
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        builder = choice.choose(fake.builder.name, env, platform=choice.platform_of(tag, env))
        made, _ = build.build(folder, tag, builder=builder, home=home)
        words = fake.calls[-1]
        assert words[0] == "build"
        contents.setdefault(words[words.index("--platform") + 1], set()).add(made.content)
        pulls = [call for call in fake.calls if call[0] == "pull"]
        assert all(call[call.index("--platform") + 1] in contents for call in pulls)
    assert sorted(contents) == ["linux/amd64", "linux/arm64"]
    amd, arm = contents["linux/amd64"], contents["linux/arm64"]
    assert (len(amd), len(arm)) == (1, 1)
    assert amd != arm


def test_no_builder_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(tmp_path, "podman")
    fake.answer(info=[1, "cannot connect"])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutsideError) as caught:
        builders.choose(None)
    assert "docker is not installed; podman does not run (cannot connect); buildah is not installed" in str(
        caught.value
    )
    assert "apt-get install buildah" in caught.value.problems[0].fix
    fake.answer(info=[0, ""])
    assert builders.choose(None).name == "podman"


@pytest.mark.parametrize(
    "tag", ["bank", "Bank:1", "bank:", "-x:1", "reg.example/bank@sha256:1", "a b:1", "bank:1 --privileged"]
)
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(InputError, match="no image's name"):
        builders.check_tag(tag)


@pytest.mark.parametrize("tag", ["bank:1", "127.0.0.1:5000/a/b-c:V1.2", "reg.azurecr.io/x_y:latest"])
def test_tags(tag: str) -> None:
    assert builders.check_tag(tag) == tag


def test_what_goes_in(bank: tuple[Path, Path]) -> None:
    home, folder = bank
    proven = open_folder(folder)
    found = {}
    for base in ("slim", "azureml"):
        with context(proven, proven.hash(), base, AZURES_PLATFORM, home, print) as given:
            found[base] = given.content
            names = {path.relative_to(given.folder).as_posix() for path in given.folder.rglob("*") if path.is_file()}
            assert {"Dockerfile", "requirements.lock", "score.py", "model/model.pkl"} <= names
            assert not names & {"golden.json", "forestay.json", "README.md", "sample_request.json"}
            assert ("mcr.microsoft.com" in (given.folder / "Dockerfile").read_text()) == (base == "azureml")
        assert not given.folder.exists()
    assert found["slim"] != found["azureml"]
    with (
        pytest.raises(RunFailed, match="changed while it was copied"),
        context(proven, "0" * 64, "slim", AZURES_PLATFORM, home, print),
    ):
        pass
    told = labels(proven, "p", "c", None)
    assert "org.opencontainers.image.revision" not in told
    assert (told["forestay.proof"], told["forestay.content"]) == ("p", "c")


def test_pips_settings_are_secrets_of_the_build(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://old.example/\ntimeout = 7\n")
    (tmp_path / "ca.pem").write_text("x")
    environ = {
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "PIP_INDEX_URL": "https://user:100%25@new.example/simple",
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
    }
    (tmp_path / "scratch").mkdir()
    found = indexes.secrets(environ, tmp_path / "scratch")
    text = found["pip"].read_text()
    assert "index-url = https://user:100%25@new.example/simple" in text
    assert "timeout = 7" in text
    assert found["pip"].stat().st_mode & 0o777 == 0o600
    assert found["certificates"] == tmp_path / "ca.pem"


def test_another_version_is_another_content(bank: tuple[Path, Path]) -> None:
    home, folder = bank
    other = served.version(folder, "9", home)
    contents = set()
    for path in (folder, other):
        proven = open_folder(path)
        with context(proven, proven.hash(), "slim", AZURES_PLATFORM, home, print) as given:
            contents.add(given.content)
    assert len(contents) == 2
