import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ahx.errors import InputError, StorageError
from ahx.training.hyperparameters import SECTIONS, Hyperparameters, spellings
from ahx.training.settings import from_sources

FORMER_NAMES = {
    "problem": "rule",
    "block_sz": "block_size",
    "embed_sz": "n_embd",
    "batch_sz": "batch_size",
    "num_layers": "n_layer",
    "num_heads": "n_head",
}


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def problems(**sources: object) -> str:
    with pytest.raises(InputError) as caught:
        from_sources(**{"argv_values": {}, **sources})
    return str(caught.value)


# The model itself


def test_every_field_is_explained() -> None:
    assert [name for name, field in Hyperparameters.model_fields.items() if not field.description] == []
    assert set(SECTIONS) <= set(Hyperparameters.model_fields)


def test_former_names_are_accepted() -> None:
    for former, name in FORMER_NAMES.items():
        assert spellings()[former] == name
    assert Hyperparameters.model_validate({"problem": "copy", "num_layers": 3}) == Hyperparameters(
        rule="copy", n_layer=3
    )


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        Hyperparameters(rule="copy").n_layer = 3  # type: ignore[misc]


def test_json_round_trip_uses_json_types_only() -> None:
    chosen = Hyperparameters(
        rule="A -> AA", infile="s3://bucket/data/da", max_seconds=1.5, compile=True, learning_rate=1e-4, max_steps=20
    )
    assert Hyperparameters.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen


def test_from_json_lists_everything_wrong() -> None:
    with pytest.raises(InputError) as caught:
        Hyperparameters.from_json({"rule": "copy", "n_layer": True, "n_hed": 2})
    assert str(caught.value) == (
        "2 things are wrong:\n"
        "  - n_layer: must be a whole number from 1 to 1,000 (got true)\n"
        "  - unknown hyperparameter 'n_hed'; did you mean n_head?"
    )


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"rule": "copy"}, "epoch_size", 1600),
        ({"infile": "data/cp"}, "epoch_size", 0),
        ({"rule": "copy"}, "warmup_steps", 30),
        ({"rule": "copy", "max_steps": 10}, "warmup_steps", 5),
        ({"rule": "copy", "max_steps": 1}, "warmup_steps", 0),
        ({"infile": "x", "max_seconds": 149}, "n_embd", 48),
        ({"infile": "x", "max_seconds": 150}, "n_embd", 96),
        ({"infile": "x", "max_seconds": 150}, "batch_size", 64),
        ({"rule": "copy", "infile": "x", "max_seconds": 150}, "n_embd", 48),
        ({"rule": "double_a"}, "model_out", "runs/double_a"),
        ({"infile": "s3://bucket/data/cp_small"}, "model_out", "runs/cp_small"),
    ],
)
def test_defaults_that_follow_from_other_values(given: dict[str, object], name: str, value: object) -> None:
    assert getattr(Hyperparameters.model_validate(given), name) == value


def test_rules_that_are_no_folder_names_get_folders_of_their_own() -> None:
    folders = {Hyperparameters(rule=rule).model_out for rule in ("A -> AA", "A->AA", "A -> AA, ", "../x", "/", "..")}
    assert len(folders) == 6
    assert all(folder.startswith("runs/") and folder.count("/") == 1 for folder in folders)
    assert "runs/.." not in folders


# Where values come from


def test_precedence(tmp_path: Path) -> None:
    names = ["n_layer", "batch_size", "max_len", "val_samples", "seed"]
    command_line = {"rule": "copy", "n_layer": "5"}
    toml = write(tmp_path / "run.toml", "".join(f"{name} = 4\n" for name in names[:2]))
    environ = {f"SM_HP_{name.upper()}": "3" for name in names[:3]} | {"SM_HPS": "{}", "PATH": "/bin"}
    sagemaker = write(tmp_path / "hyperparameters.json", json.dumps(dict.fromkeys(names[:4], "2")))
    chosen = from_sources(command_line, toml, environ, sagemaker)
    assert [getattr(chosen, name) for name in names] == [5, 4, 3, 2, 1337]


def test_a_place_that_counts_more_wins_under_any_name(tmp_path: Path) -> None:
    toml = write(tmp_path / "run.toml", "rule = 'copy'\nnum_layers = 4\nbatch-sz = 8\n")
    chosen = from_sources({"n_layer": "5"}, toml, {"SM_HP_NUM_LAYERS": "3", "SM_HP_BATCH_SZ": "2"})
    assert (chosen.n_layer, chosen.batch_size) == (5, 8)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("n_layer", "4", 4),
        ("learning_rate", "3e-4", 3e-4),
        ("compile", "true", True),
        ("compile", "False", False),
        ("rule", '"A -> AA"', "A -> AA"),
        ("rule", "A -> AA", "A -> AA"),
        ("rule", "110", "110"),
        ("alphabet", "01", "01"),
        ("alphabet", "10", "10"),
        ("alphabet", '"01"', "01"),
        ("alphabet", "null", None),
        ("pos", '"none"', "none"),
        ("pos", "none", "none"),
        ("max_steps", "null", None),
        ("max_steps", "None", None),
        ("infile", "s3://bucket/a,b", "s3://bucket/a,b"),
    ],
)
def test_sagemakers_strings_are_typed(tmp_path: Path, name: str, text: str, value: object) -> None:
    given = {"rule": "copy", "sagemaker_program": '"train.py"', "_tuning_objective_metric": "loss"} | {name: text}
    from_file = from_sources({}, hyperparameters_json=write(tmp_path / "h.json", json.dumps(given)))
    from_environment = from_sources({}, environ={f"SM_HP_{key.upper()}": text for key, text in given.items()})
    assert getattr(from_file, name) == getattr(from_environment, name) == value
    assert type(getattr(from_file, name)) is type(value)


def test_locations_are_not_paths() -> None:
    chosen = from_sources({"infile": "s3://bucket//data/da", "model_in": "./x/../y", "model_out": "s3://bucket/out/"})
    assert (chosen.infile, chosen.model_in, chosen.model_out) == (
        "s3://bucket//data/da",
        "./x/../y",
        "s3://bucket/out/",
    )


def test_text_on_the_command_line_is_taken_as_it_is() -> None:
    chosen = from_sources({"rule": '"A" -> B', "alphabet": "007", "max_seconds": "none"})
    assert (chosen.rule, chosen.alphabet, chosen.max_seconds) == ('"A" -> B', "007", None)


def test_the_environment_of_this_process_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SM_HP_N_LAYER", "7")
    assert from_sources({"rule": "copy"}).n_layer == Hyperparameters(rule="copy").n_layer == 2


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        (
            {"SM_HP_N_LAYR": "2"},
            "the variable SM_HP_N_LAYR names no hyperparameter; did you mean SM_HP_N_LAYER?",
        ),
        (
            {"SM_HP_QUX": "2"},
            "the variable SM_HP_QUX names no hyperparameter; `ahx train --help` lists all names",
        ),
        (
            {"SM_HP_RULE": "copy", "SM_HP_N_LAYER": "zero"},
            "n_layer: must be a whole number from 1 to 1,000 (got 'zero' from SM_HP_N_LAYER)",
        ),
        (
            {"SM_HP_RULE": "copy", "SM_HP_N_LAYER": "true"},
            "n_layer: must be a whole number from 1 to 1,000 (got true from SM_HP_N_LAYER)",
        ),
        (
            {"SM_HP_RULE": "copy", "SM_HP_LEARNING_RATE": "NaN"},
            "learning_rate: must be a number greater than 0 (got nan from SM_HP_LEARNING_RATE)",
        ),
        (
            {"SM_HP_RULE": "copy", "SM_HP_N_LAYER": "2", "SM_HP_NUM_LAYERS": "3"},
            "n_layer: SM_HP_NUM_LAYERS says 3 but SM_HP_N_LAYER says 2; keep one of the two",
        ),
    ],
)
def test_bad_environment(environ: dict[str, str], sentence: str) -> None:
    assert problems(environ=environ) == sentence


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("rule = 'copy'\nn_layr = 2", "run.toml: unknown hyperparameter 'n_layr'; did you mean n_layer?"),
        (
            "rule = 'copy'\n[other]\nn_layer = 2",
            "run.toml: unknown hyperparameter 'other'; `ahx train --help` lists all names",
        ),
        ("rule = 110", "rule: must be text that is not empty (got 110 from run.toml)"),
        ("rule = 'copy'\nn_layer = 2.5", "n_layer: must be a whole number from 1 to 1,000 (got 2.5 from run.toml)"),
        ("rule = 'copy'\ncompile = 2", "compile: must be true or false (got 2 from run.toml)"),
        (
            "rule = 'copy'\nn_layer = 2\nnum_layers = 3",
            "n_layer: run.toml says 2 but num_layers in run.toml says 3; keep one of the two",
        ),
    ],
)
def test_bad_toml(tmp_path: Path, toml: str, sentence: str) -> None:
    assert problems(config_file=write(tmp_path / "run.toml", toml)) == sentence


@pytest.mark.parametrize("source", ["config_file", "hyperparameters_json"])
def test_unusable_files(tmp_path: Path, source: str) -> None:
    kind = {"config_file": "TOML", "hyperparameters_json": "JSON"}[source]
    broken = write(tmp_path / "broken", "rule = ")
    sentence = problems(**{source: broken})
    assert sentence.startswith(f"{broken} is not valid {kind}: ")
    assert sentence.endswith("; fix it there")
    (tmp_path / "latin").write_bytes(b"rule = '\xe9'")
    assert (
        problems(**{source: str(tmp_path / "latin")})
        == f"{tmp_path / 'latin'} is not UTF-8 text (byte 8); save it as UTF-8"
    )
    for missing, why in ((tmp_path / "none", "no such file or directory"), (tmp_path, "is a directory")):
        with pytest.raises(StorageError) as caught:
            from_sources({}, **{source: str(missing)})
        assert str(caught.value) == f"cannot read {missing}: {why}; check the path"


def test_a_list_is_no_object(tmp_path: Path) -> None:
    path = write(tmp_path / "h.json", "[1]")
    assert problems(hyperparameters_json=path) == f"{path} must hold one JSON object with a hyperparameter for each key"


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert from_sources({}, write(tmp_path / "run.toml", "\ufeffrule = 'copy'")).rule == "copy"
