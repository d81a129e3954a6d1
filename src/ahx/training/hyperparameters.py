"""All hyperparameters of a training run: names, defaults, ranges, help texts, and facts for other code.

The command line, run.toml, SM_HP_* variables and hyperparameters.json are all read through this model (settings.py),
`ahx train --help` and docs/hyperparameters.md are made from it, and a run writes it into its config.json.
A field's `validation_alias` is its name in earlier versions, which is still accepted (`num_layers` for `n_layer`).
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from ahx.data.segmentation import FORMS, KINDS
from ahx.errors import InputError
from ahx.model.positions.schemes import SCHEMES
from ahx.rules.parse import interpreter_kind
from ahx.training.consistency import faults
from ahx.training.messages import as_list, explain
from ahx.training.tracking.choice import NONE


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What other code must know of a hyperparameter beyond its type. Written in the field's annotation."""

    may_change: bool = False  # a resumed run may have another value
    is_limit: bool = False  # it says when training ends
    is_channel: bool = False  # it names files, which a job receives through a channel
    not_in_sweeps: str = ""  # why a sweep cannot choose it
    only_watches: bool = False  # it changes nothing of the run, and is no part of a trial's identity


MAY_CHANGE = Facts(may_change=True)
LIMIT = Facts(may_change=True, is_limit=True)

# Upper limits are far beyond use. They turn a typing error into a sentence instead of exhausted memory.
Length = Annotated[int, Field(ge=1, le=1_000_000)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
# Locations are plain text: a Path would turn s3://bucket/key into s3:/bucket/key.
Location = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]+$")]

#: Titles of the groups in which help and documentation list the fields, by the first field of each.
SECTIONS = {
    "rule": "Rule and data",
    "num_epochs": "Length of training",
    "pos": "The model",
    "optimizer": "Optimisation",
    "eval_interval": "Evaluation and checkpoints",
    "device": "Device and seed",
}


_LONG = 150  # seconds of training on files, from which a wider model gets further than the usual one
_KINDS, _FORMS = "|".join(KINDS), "|".join(FORMS)
_TOKENS = f"{', '.join(KINDS)}, or two of them with a comma"
_NORMALIZE = f"{', '.join(FORMS)}, or several with commas"

if TYPE_CHECKING:
    _Position = str
else:
    _Position = Literal["auto", *SCHEMES]
_ABOUT_POSITIONS = (
    "How the model knows where a token stands. auto: what generalises best for the rule; "
    + "; ".join(f"{name}: {scheme.about}" for name, scheme in SCHEMES.items())
    + "."
)


def _usual(others: int, turing: int, substitution: int, markov: int) -> Callable[[dict[str, Any]], int]:
    """A default that depends on the kind of interpreter; `others` for rules that are not interpreters."""
    of_kind = {"turing": turing, "substitution": substitution, "markov": markov}
    return lambda earlier: of_kind.get(interpreter_kind(earlier.get("rule")) or "", others)


def _with(name: str, given: Any, otherwise: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """A default that is another one if the hyperparameter `name` is given."""
    return lambda earlier: given if earlier.get(name) else otherwise(earlier)


def _certified(given: int, otherwise: Callable[[dict[str, Any]], int]) -> Callable[[dict[str, Any]], int]:
    """A default that is another one for a machine that is certified with its rule in the weights."""
    return lambda earlier: (
        given if earlier.get("certify") and not interpreter_kind(earlier.get("rule")) else otherwise(earlier)
    )


def _from_files(given: Any, otherwise: Callable[[dict[str, Any]], Any], seconds: float = 0) -> Any:
    """A default that is another one for files without a rule and at least `seconds` of training (docs/LOG.md)."""

    def usual(earlier: dict[str, Any]) -> Any:
        long = (earlier.get("max_seconds") or 0) >= seconds
        return given if earlier.get("infile") and not earlier.get("rule") and long else otherwise(earlier)

    return usual


def _usual_warmup(earlier: dict[str, Any]) -> int:
    return min(30, (earlier.get("max_steps") or 60) // 2)


def _usual_folder(earlier: dict[str, Any]) -> str:
    """runs/double_a; a rule that cannot be a folder's name is simplified and marked with a hash of its text."""
    name = earlier.get("rule") or (earlier.get("infile") or "run").rstrip("/").rpartition("/")[2]
    simple = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")[:40]
    return f"runs/{simple}" if simple == name else f"runs/{simple}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


class Hyperparameters(BaseModel):
    """The hyperparameters of one training run. Frozen; unknown names and values out of range are refused.

    Written in Python, a mistake raises pydantic's ValidationError; `from_json` and `settings.from_sources` raise
    InputError with one sentence per mistake.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
        loc_by_alias=False,
        protected_namespaces=(),  # for `model_in` and `model_out`
    )

    rule: Annotated[Annotated[str, Field(min_length=1)] | None, Field(validation_alias="problem")] = None
    """The rule to learn: a preset such as double_a, or the rule itself, such as 'A -> AA' (see `ahx rules`)."""
    infile: Annotated[Location | None, Facts(is_channel=True)] = None
    """Train from files instead of fresh samples of the rule: a file, a folder or pattern of parts, or NAME for
    NAME_train.txt and NAME_val.txt (docs/data.md)."""
    format: Literal["auto", "plain", "csv", "tsv", "jsonl"] = "auto"
    """Format of the files. auto: guessed from the first lines; plain: input,output without quotes."""
    columns: Annotated[str, Field(min_length=3)] | None = None
    """Columns or JSON fields of input and output, by name or by number from 1: src,tgt or 1,3."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line of a file names its columns."""
    tokens: Annotated[str, Field(pattern=f"^({_KINDS})(,({_KINDS}))?$", title=_TOKENS)] = "characters"
    """Tokens of the files' strings: characters, words (between spaces) or graphemes (Unicode grapheme clusters); two
    for inputs and outputs, such as characters,words."""
    normalize: Annotated[str, Field(pattern=f"^({_FORMS})(,({_FORMS}))*$", title=_NORMALIZE)] | None = None
    """What is done to the files' strings first: a Unicode normal form, strip (spaces at the ends), or both."""
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the inputs that is held out for validation where there is no file for it."""
    certify: bool = False
    """Prove that the model follows the rule for any number of steps: a machine, or turing-interpreter or
    substitution-interpreter with every program (docs/turing.md)."""
    alphabet: Annotated[str, Field(min_length=1)] | None = None
    """Symbols that inputs are drawn from; without it, those of the rule."""
    min_len: Length = Field(default_factory=_usual(1, 2, 1, 1))
    """Length of the shortest input drawn from the rule, in symbols. Default: 1; 2 (cells) for turing-interpreter."""
    max_len: Length = Field(default_factory=_usual(10, 6, 8, 8))
    """Length of the longest input drawn from the rule, in symbols. Default: 10; for an interpreter 8, or 6 (cells)."""

    num_epochs: Annotated[Length | None, LIMIT] = Field(
        default_factory=_with("infile", None, _certified(16, lambda _: 10))
    )
    """Epochs to train for. Default: 10; 16 with certify, which stops as soon as every window is right, except for an
    interpreter; with infile, what suits the number of lines, or all that max_seconds allows."""
    epoch_size: Count = Field(default_factory=_with("infile", 0, _usual(1600, 4000, 1600, 9600)))
    """Samples in an epoch; 0 is the whole file. Default: 0 with infile; 1600 from a rule; 4000 for
    turing-interpreter, 9600 for markov-interpreter."""
    max_steps: Annotated[Annotated[int, Field(ge=1, le=10**9)] | None, LIMIT] = None
    """Stop after this many steps (batches)."""
    max_seconds: Annotated[Positive | None, LIMIT] = None
    """End after this many seconds, with reading, evaluation and writing; the learning rate falls to its end by then."""
    min_loss: Annotated[NotNegative, LIMIT] = 0.0
    """Stop when the validation loss, in nats per token, falls below this; 0 never does."""
    until_exact: Annotated[Count, LIMIT] = 0
    """Stop when this many fresh samples of the rule are all rewritten exactly, or without a rule as many validation
    lines; 0 does not test."""
    patience: Annotated[Count, LIMIT] = 0
    """Stop after this many evaluations without an improvement; 0 never does."""

    pos: Annotated[_Position, Field(description=_ABOUT_POSITIONS)] = "auto"
    heads: str | None = None
    """Kinds of attention heads, a letter for each head, a word for each layer: sccc/cccc is two layers of four heads.
    s sees the last tokens, c the input around the cursor, p the rules in the prompt, g all tokens before. Default:
    follows from pos."""
    n_layer: Annotated[int, Field(ge=1, le=1000, validation_alias="num_layers")] = Field(
        default_factory=_certified(1, lambda _: 2)
    )
    """Layers of the transformer. Default: 2, or 1 with certify, except for an interpreter."""
    n_head: Annotated[int, Field(ge=1, le=1000, validation_alias="num_heads")] = 4
    """Attention heads of each layer."""
    n_embd: Annotated[int, Field(ge=1, le=65536, validation_alias="embed_sz")] = Field(
        default_factory=_certified(32, _from_files(96, _usual(48, 64, 64, 64), _LONG))
    )
    """Width of the embedding and of every layer; a multiple of n_head. Default: 48; 64 for an interpreter; else 32
    with certify; 96 with infile, without a rule, and max_seconds of 150 or more."""
    block_size: Annotated[int, Field(ge=0, le=1_000_000, validation_alias="block_sz")] = 0
    """Longest row of tokens; 0 is as long as the data needs."""
    ngrams: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    """Rows of each table of n-grams: neighbouring tokens have vectors of their own. 0 for no tables. Default: 2048 for
    files without a rule whose outputs follow a cursor, else 0."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout probability."""

    optimizer: Literal["muon", "adamw"] = "muon"
    """muon for the matrices inside the blocks and AdamW for the rest, or adamw for everything."""
    batch_size: Annotated[Length, Field(validation_alias="batch_sz")] = Field(
        default_factory=_from_files(64, _usual(32, 16, 16, 16), _LONG)
    )
    """Samples in a batch, over all processes together. Default: 32, or 16 programs for an interpreter; 64 where
    n_embd is 96 by default."""
    learning_rate: Positive = 3e-3
    """Peak learning rate of AdamW."""
    muon_learning_rate: Positive = Field(default_factory=_from_files(0.012, lambda _: 0.02, _LONG))
    """Peak learning rate of Muon. Default: 0.02; 0.012 where n_embd is 96 by default."""
    lr_schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    warmup_steps: Count = Field(default_factory=_usual_warmup)
    """Steps in which the learning rate rises from 0. Default: 30, or half of a smaller max_steps."""
    weight_decay: NotNegative = Field(default_factory=_from_files(0.1, lambda _: 0.0))
    """Decoupled weight decay. Default: 0; 0.1 with infile and without rule."""
    grad_clip: NotNegative = 1.0
    """Largest norm of the gradient; 0 does not clip."""

    eval_interval: Annotated[Positive | None, MAY_CHANGE] = Field(default_factory=_with("infile", None, lambda _: 1.0))
    """Epochs between evaluations; may be a fraction. Default: 1; with infile, about 20 evaluations in all."""
    checkpoint_interval: Annotated[Positive | None, MAY_CHANGE] = Field(
        default_factory=_with("infile", None, lambda _: 1.0)
    )
    """Epochs between checkpoints; may be a fraction. Default: 1; with infile, at each evaluation. One that is the best
    so far is always kept with infile."""
    keep_checkpoints: Annotated[Length, MAY_CHANGE] = 3
    """Newest checkpoints to keep, in addition to the best one."""
    val_samples: Length = Field(default_factory=_usual(1000, 200, 200, 200))
    """Validation samples to draw from the rule, or lines of files to look at. Default: 1000, or 200 programs for an
    interpreter."""
    track: Annotated[str, Facts(may_change=True, only_watches=True)] = NONE
    """Tracker that receives the evaluations: tensorboard (files in model_out), or mlflow:ADDRESS, such as
    mlflow:http://127.0.0.1:5000, mlflow:sqlite:///mlflow.db or the ARN of a managed MLflow (docs/tracking.md)."""
    model_in: Annotated[Location | None, Facts(may_change=True, is_channel=True)] = None
    """Start from the weights of this run or model folder."""
    model_out: Annotated[
        Location,
        Facts(may_change=True, not_in_sweeps="every job has its own folder; `ahx jobs collect` fetches the models"),
    ] = Field(default_factory=_usual_folder)
    """Folder for checkpoints, metrics and the final model. Default: runs/ and the rule's name."""
    resume: Annotated[bool, Facts(may_change=True, not_in_sweeps="an interrupted job resumes by itself")] = False
    """Resume from the last checkpoint in model_out, as if the run had never stopped."""

    device: Annotated[
        str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", title="auto, cpu, mps, cuda or cuda:N"), MAY_CHANGE
    ] = "auto"
    """Device; auto takes a GPU if there is one."""
    precision: Annotated[Literal["auto", "float32", "bfloat16"], MAY_CHANGE] = "auto"
    """Number format of activations; auto is bfloat16 on a GPU that supports it, else float32."""
    compile: Annotated[bool, MAY_CHANGE] = False
    """Compile the model with torch.compile."""
    threads: Annotated[int, Field(ge=0, le=4096), MAY_CHANGE] = 0
    """CPU threads; 0 leaves the choice to torch."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 1337
    """Seed of all random numbers: the same seed gives the same run."""

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_not_one(cls, value: object, info: ValidationInfo) -> object:
        """Pydantic would read `n_layer = true` as 1."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("not a number")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """Raises ValueError that lists everything wrong."""
        if wrong := faults(self):
            raise ValueError("\n".join(wrong))
        return self

    def to_json(self) -> dict[str, object]:
        """All fields, as JSON types: what `from_json` reads."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """The hyperparameters that `to_json` wrote. Raises InputError that lists everything wrong with `data`."""
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise InputError(as_list(explain(error, cls.model_fields))) from None


def spellings() -> dict[str, str]:
    """Every accepted spelling, the field's own name included, and the field it stands for."""
    names = {name: name for name in Hyperparameters.model_fields}
    aliases = {str(f.validation_alias): name for name, f in Hyperparameters.model_fields.items() if f.validation_alias}
    return names | aliases


def facts(name: str) -> Facts:
    """The facts of the hyperparameter `name`."""
    return next((one for one in Hyperparameters.model_fields[name].metadata if isinstance(one, Facts)), Facts())


def default_of(name: str, others: Mapping[str, object]) -> object:
    """The value of a hyperparameter that is not given. `others` are all values; some defaults follow from them."""
    return Hyperparameters.model_fields[name].get_default(call_default_factory=True, validated_data=dict(others))
