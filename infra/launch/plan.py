"""From a sweep to its jobs: their image and data, and which have been submitted before."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ahx.data.files.names import resolve_infile
from ahx.errors import CheckpointError
from ahx.training.hyperparameters import facts
from infra import locations
from infra.launch import prices, tracking
from infra.launch.backends.backend import Backend, Manifest
from infra.launch.job_request import JobTemplate, job_name
from infra.launch.options import Options
from infra.launch.sweep import Config, Sweep


@dataclass(frozen=True)
class Planned:
    """A sweep that is ready to be submitted."""

    manifest: Manifest
    configs: Sequence[Config]  # those asked for now
    template: JobTemplate
    files: Mapping[str, Sequence[Path]]  # channel -> its files
    notes: Sequence[str] = field(default=())

    @property
    def jobs(self) -> list[Sequence[Config]]:
        """The configurations of each job, if none has been submitted. With `auto` there may be fewer jobs."""
        per_job = self.manifest.limits["trials_per_job"]
        n = 1 if per_job == "auto" else int(per_job)
        return [self.configs[i : i + n] for i in range(0, len(self.configs), n)]


def plan(backend: Backend, sweep: Sweep, options: Options) -> Planned:
    """Prepare a sweep; nothing is written or submitted. Raises AhxError."""
    configs = sweep.configurations()
    files = {name: paths for name, paths in _channels(configs).items() if paths}
    digests = {channel: _digest(paths) for channel, paths in files.items()}
    image = backend.image(options.image)
    template = JobTemplate(
        sweep=sweep.name,
        stack_id=backend.stack_id,
        image=image.address,
        image_digest=image.digest,
        channels={channel: backend.shared_at(digest) for channel, digest in digests.items()},
        data_hash="-".join(digests.values()),
        **options.of_jobs(),
    )
    configs = [_portable(config, backend.on) for config in configs]
    trackers = dict.fromkeys(str(config["track"]) for config in configs if "track" in config)
    old = backend.read_manifest(sweep.name)
    submitted = backend.jobs(sweep.name) if old else {}
    manifest, notes = merged(old, set(submitted), template, configs, options.limits(backend.on))
    notes += [note for track in trackers for note in tracking.notes(track, backend.on, backend.stack_id)]
    return Planned(manifest, configs, template, files, notes)


def publish(backend: Backend, planned: Planned) -> None:
    """Store the sweep and its data in the backend: from now on any launcher can continue it."""
    backend.write_manifest(planned.template.sweep, planned.manifest)
    for channel, paths in planned.files.items():
        backend.share(paths, planned.template.channels[channel].rpartition("/")[2])


def merged(
    old: Manifest | None,
    submitted: set[str],
    template: JobTemplate,
    configs: Sequence[Config],
    limits: Mapping[str, Any],
) -> tuple[Manifest, list[str]]:
    """The sweep with these configurations and those submitted by earlier calls, and notes for the user."""
    notes = []
    wanted = {job_name(template, config) for config in configs}
    templates, entries = [template], [(0, config) for config in configs]
    changed: dict[str, int] = {}
    for number, config in old.entries if old else ():
        before = old.templates[number]  # type: ignore[union-attr]  # `old` is there, or there are no entries
        name = job_name(before, config)
        if config in configs and name not in wanted:
            what = "image" if before.image_digest != template.image_digest else "data"
            changed[what] = changed.get(what, 0) + 1
        if name not in wanted and name in submitted:
            if before not in templates:
                templates.append(before)
            entries.append((templates.index(before), config))
    for what, n in changed.items():
        notes.append(f"the {what} changed since {template.sweep} was run last: {n} configurations are new jobs")
    again = len(wanted & submitted)
    if again:
        notes.append(f"{again} of {len(wanted)} jobs were submitted before, and are not submitted again")
    return Manifest(templates, entries, limits), notes


@dataclass(frozen=True)
class Estimate:
    """At most: every job runs to its time limit."""

    n_jobs: int
    parallel: int
    quota: int
    hours: float
    usd: float | None

    @property
    def usd_spot(self) -> float | None:
        return None if self.usd is None else self.usd * prices.USUAL_SPOT_SHARE


def estimate(backend: Backend, planned: Planned) -> Estimate:
    """Upper bounds on the time and cost of the jobs."""
    template, n = planned.template, len(planned.jobs)
    quota = backend.slots(template)
    parallel = max(1, min(int(planned.manifest.limits["max_parallel"]), quota))
    seconds = template.max_runtime + (prices.STARTING_SECONDS if backend.costs else 0)
    cost = prices.usd(template.instance_type, n * (seconds + (template.keep_alive or 0))) if backend.costs else 0.0
    return Estimate(n, parallel, quota, math.ceil(n / parallel) * seconds / 3600, cost)


def _channels(configs: Sequence[Config]) -> dict[str, list[Path]]:
    """The files of each channel. All configurations of a sweep share their data and the model they start from."""
    found: dict[str, list[Path]] = {"train": [], "model": []}
    for infile in {config["infile"] for config in configs if "infile" in config}:
        train, val, _ = resolve_infile(locations.data(infile))
        found["train"] += [*train, *val]
    for model_in in {config["model_in"] for config in configs if "model_in" in config}:
        folder = Path(locations.model(model_in))
        found["model"] += [folder / name for name in ("config.json", "model.safetensors")]
        found["model"] += [path for path in [folder / "seen.u64"] if path.is_file()]
        if missing := [path for path in found["model"] if not path.is_file()]:
            raise CheckpointError(f"model_in: there is no {missing[0]}; name a folder with a trained model")
    return found


def _portable(config: Config, on: str) -> Config:
    """Data and model without their folders on this machine: the job's name depends on a hash of their contents. The
    tracker as jobs of the backend `on` reach it."""
    portable = {
        name: str(value).rstrip("/").rpartition("/")[2] if facts(name).is_channel else value
        for name, value in config.items()
    }
    if "track" in config:
        portable["track"] = tracking.for_jobs(config["track"], on)
    return portable


def _digest(files: Sequence[Path]) -> str:
    """20 hexadecimal digits of the files' names and contents."""
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda path: path.name):
        with open(path, "rb") as file:
            digest.update(f"{path.name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:20]
