"""The size of images (API_ImageDetail)."""

import json
from typing import Any

from moto.ecr.models import Image, ecr_backends


def patch() -> None:
    Image.get_image_size_in_bytes = _image_size


def _image_size(self: Any) -> int | None:
    """The size of a multi-platform image is that of its largest image."""
    manifest = json.loads(self.image_manifest)
    if "manifests" in manifest:
        named = {one["digest"] for one in manifest["manifests"]}
        return max((_image_size(one) or 0 for one in _same_repository(self) if one.image_digest in named), default=None)
    parts = [*manifest.get("layers", ()), manifest.get("config", {})]
    return sum(int(part.get("size", 0)) for part in parts)


def _same_repository(image: Any) -> list[Any]:
    """The images in the repository of `image`."""
    repositories = [one for held in ecr_backends[image.registry_id].values() for one in held.repositories.values()]
    return next((one.images for one in repositories if image in one.images), [])
