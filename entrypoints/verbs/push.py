"""Push the image to ECR, from where SageMaker pulls it.

The tag is made from the image's source and contents: pushing the same image again does nothing, and a tag always names
the same image. Jobs name the image by its digest, which is printed.
"""

import argparse
import json

from ahx.errors import InputError, ServiceError
from ahx.text.printing import data

EXAMPLES = ["ahx push --image ahx-transformer:dev", "ahx push --image ahx-transformer:dev --json"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Which image, and to which stack."""
    add = parser.add_argument
    add("--image", default="ahx-transformer:dev", help="Image, as `docker images` lists it.")
    add("--prefix", default="ahx", help="Prefix of the stack of `ahx infra apply`.")
    add("--region", help="Region in AWS. Default: AWS_REGION, else the region of `aws configure`.")
    add("--json", action="store_true", help="Print address, digest and tag as JSON.")


def run(args: argparse.Namespace) -> int:
    """Push, unless it is there already. Returns the exit code."""
    from infra import aws_clients, ecr
    from infra.provision.repository import Repository

    image = ecr.local(args.image)
    if image.platform != ecr.PLATFORM:
        raise InputError(
            f"--image: {args.image} is for {'/'.join(image.platform)}, and SageMaker's instances are linux/amd64;"
            " build it with docker build --platform linux/amd64"
        )
    repository = Repository(aws_clients.caller(args.region).stack_id(args.prefix))
    there = ecr.with_tag(repository, image.tag)
    is_new = there is None
    if there is None:
        ecr.push(image, ecr.registry(repository), repository)
        there = ecr.with_tag(repository, image.tag)
    if there is None:
        raise ServiceError(f"ECR does not know {image.tag} although Docker has pushed it; run the command again")
    address = f"{repository.image}@{there.digest}"
    if args.json:
        data(json.dumps({"image": address, "digest": there.digest, "tag": image.tag, "pushed": is_new}))
    else:
        print(f"{'Pushed' if is_new else 'Already there:'} {args.image} as {image.tag}, {there.size / 1e6:,.0f} MB.")
        print(address)
    return 0
