"""The repository of images in ECR."""

import json
from collections.abc import Iterable
from typing import Any

from infra.provision.resource import Attributes, Resource, document, tag_list, unless
from infra.provision.statements import TAGGING, Statement, allow

# Docker talks to the registry itself; these are what a pull and a push need.
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
IMAGE_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
IMAGE_PUSH = ("ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart")

UNTAGGED_DAYS = 14
IMAGES_KEPT = 100

_GONE = ("RepositoryNotFoundException",)


def _expire(priority: int, description: str, **selection: Any) -> dict[str, Any]:
    return {
        "rulePriority": priority,
        "description": description,
        "selection": selection,
        "action": {"type": "expire"},
    }


_LIFECYCLE = {
    "rules": [
        _expire(
            1,
            "images that lost their tag",
            tagStatus="untagged",
            countType="sinceImagePushed",
            countUnit="days",
            countNumber=UNTAGGED_DAYS,
        ),
        _expire(2, "all but the newest", tagStatus="any", countType="imageCountMoreThan", countNumber=IMAGES_KEPT),
    ]
}


class Repository(Resource):
    """Tags are immutable; each image is scanned; old ones expire."""

    kind = "image repository"
    service = "ecr"
    tag_members = "resourceArn", "tags"
    name_format = "{prefix}-transformer"
    arn_format = "arn:{partition}:ecr:{region}:{account}:repository/{name}"

    @property
    def image(self) -> str:
        """The image's address, which Docker pushes to and SageMaker pulls from, without tag or digest."""
        suffix = "amazonaws.com.cn" if self.stack_id.partition == "aws-cn" else "amazonaws.com"
        return f"{self.stack_id.account}.dkr.ecr.{self.stack_id.region}.{suffix}/{self.name}"

    def provisioner_permissions(self) -> list[Statement]:
        verbs = (
            *("CreateRepository", "DeleteRepository", "DescribeImages", "DescribeRepositories"),
            *("GetLifecyclePolicy", "PutLifecyclePolicy", "PutImageScanningConfiguration", "PutImageTagMutability"),
        )
        return [allow("ImageRepository", [f"ecr:{verb}" for verb in (*verbs, *TAGGING)], self.arn)]

    def user_permissions(self) -> list[Statement]:
        return [
            allow("LogIn", ["ecr:GetAuthorizationToken"], "*"),
            allow("Image", ["ecr:DescribeImages", *IMAGE_PULL, *IMAGE_PUSH], self.arn),
        ]

    def job_permissions(self) -> list[Statement]:
        return [allow("LogIn", ["ecr:GetAuthorizationToken"], "*"), allow("PullImage", IMAGE_PULL, self.arn)]

    def wanted(self, live: Attributes | None) -> Attributes:
        return {
            "tags": self.stack_id.tags,
            "image tags": "IMMUTABLE",
            "scan on push": True,
            "lifecycle": document(_LIFECYCLE),
        }

    def read(self) -> Attributes | None:
        found = unless(_GONE, self.api.describe_repositories, repositoryNames=[self.name])
        if found is None:
            return None
        repository = found["repositories"][0]
        rules = unless(["LifecyclePolicyNotFoundException"], self.api.get_lifecycle_policy, **self._repository)
        return {
            "tags": self.tags(),
            "image tags": repository["imageTagMutability"],
            "scan on push": repository.get("imageScanningConfiguration", {}).get("scanOnPush", False),
            "lifecycle": rules and document(rules["lifecyclePolicyText"]),
        }

    def create(self, wanted: Attributes) -> Iterable[str]:
        self.api.create_repository(
            **self._repository,
            tags=tag_list(wanted["tags"]),
            imageTagMutability=wanted["image tags"],
            imageScanningConfiguration={"scanOnPush": wanted["scan on push"]},
        )
        return ["tags", "image tags", "scan on push"]

    def write(self, attribute: str, value: Any) -> None:
        if attribute == "image tags":
            self.api.put_image_tag_mutability(**self._repository, imageTagMutability=value)
        elif attribute == "scan on push":
            self.api.put_image_scanning_configuration(
                **self._repository, imageScanningConfiguration={"scanOnPush": value}
            )
        elif attribute == "lifecycle":
            self.api.put_lifecycle_policy(**self._repository, lifecyclePolicyText=json.dumps(value))

    def contents(self) -> str | None:
        images = len(self.api.describe_images(**self._repository, maxResults=100)["imageDetails"])
        if images == 1:
            return "1 image"
        return f"{images}{'' if images < 100 else ' or more'} images" if images else None

    def delete(self) -> None:
        unless(_GONE, self.api.delete_repository, **self._repository, force=True)

    @property
    def _repository(self) -> dict[str, str]:
        return {"repositoryName": self.name}
