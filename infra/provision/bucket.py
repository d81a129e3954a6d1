"""The bucket of data, checkpoints and models."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ahx.errors import ServiceError
from infra import aws_clients
from infra.provision import policies
from infra.provision.resource import Attributes, Resource, document, our_tags, tag_list

CHECKPOINT_DAYS = 30  # since they were written; models and data stay until somebody deletes them
OLD_VERSION_DAYS = 30  # since something newer, or a deletion, replaced it
UNFINISHED_UPLOAD_DAYS = 7

_GONE = ("404", "NoSuchBucket")

_LIFECYCLE = [
    {
        "ID": "old-checkpoints",
        "Status": "Enabled",
        "Filter": {"Prefix": "checkpoints/"},
        "Expiration": {"Days": CHECKPOINT_DAYS},
    },
    {
        "ID": "old-versions",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": OLD_VERSION_DAYS},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    },
    {
        "ID": "unfinished-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UNFINISHED_UPLOAD_DAYS},
    },
]


class Bucket(Resource):
    """Private, encrypted, versioned, reached through TLS only; access lists off; old things expire."""

    kind = "bucket"
    service = "s3"

    @property
    def arn(self) -> str:
        return self.names.bucket_arn

    def wanted(self, live: Attributes | None) -> Attributes:
        names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        return {
            "tags": self.names.tags,
            "public access block": dict.fromkeys(names, True),
            "ownership": "BucketOwnerEnforced",
            "encryption": "AES256",
            "versioning": "Enabled",
            "lifecycle": _LIFECYCLE,
            "policy": document(policies.bucket(self.names)),
        }

    def read(self) -> Attributes | None:
        if not self._exists():
            return None
        api, ours = self.api, self._ours
        tags = aws_clients.unless(["NoSuchTagSet"], api.get_bucket_tagging, **ours)
        block = aws_clients.unless(["NoSuchPublicAccessBlockConfiguration"], api.get_public_access_block, **ours)
        owner = aws_clients.unless(["OwnershipControlsNotFoundError"], api.get_bucket_ownership_controls, **ours)
        crypt = aws_clients.unless(
            ["ServerSideEncryptionConfigurationNotFoundError"], api.get_bucket_encryption, **ours
        )
        rules = aws_clients.unless(["NoSuchLifecycleConfiguration"], api.get_bucket_lifecycle_configuration, **ours)
        policy = aws_clients.unless(["NoSuchBucketPolicy"], api.get_bucket_policy, **ours)
        return {
            "tags": our_tags(self.names, tags["TagSet"] if tags else []),
            "public access block": block and block["PublicAccessBlockConfiguration"],
            "ownership": owner and owner["OwnershipControls"]["Rules"][0]["ObjectOwnership"],
            "encryption": crypt and _algorithm(crypt),
            "versioning": api.get_bucket_versioning(**ours).get("Status"),
            "lifecycle": _rules(rules["Rules"]) if rules else [],
            "policy": policy and document(policy["Policy"]),
        }

    def create(self, wanted: Attributes) -> Iterable[str]:
        configuration: dict[str, Any] = {"Tags": tag_list(wanted["tags"])}
        if self.region != "us-east-1":  # the one region that must not be named
            configuration["LocationConstraint"] = self.region
        self.api.create_bucket(
            Bucket=self.names.bucket, ObjectOwnership=wanted["ownership"], CreateBucketConfiguration=configuration
        )
        return ["tags", "ownership"]

    def write(self, attribute: str, value: Any) -> None:
        api, ours = self.api, self._ours
        if attribute == "tags":
            tags = aws_clients.unless(
                ["NoSuchTagSet"], api.get_bucket_tagging, **ours
            )  # this call replaces all of them
            others = [tag for tag in (tags["TagSet"] if tags else []) if tag["Key"] not in value]
            api.put_bucket_tagging(**ours, Tagging={"TagSet": [*others, *tag_list(value)]})
        elif attribute == "public access block":
            api.put_public_access_block(**ours, PublicAccessBlockConfiguration=value)
        elif attribute == "ownership":
            api.put_bucket_ownership_controls(**ours, OwnershipControls={"Rules": [{"ObjectOwnership": value}]})
        elif attribute == "encryption":
            rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": value}}
            api.put_bucket_encryption(**ours, ServerSideEncryptionConfiguration={"Rules": [rule]})
        elif attribute == "versioning":
            api.put_bucket_versioning(**ours, VersioningConfiguration={"Status": value})
        elif attribute == "lifecycle":
            api.put_bucket_lifecycle_configuration(**ours, LifecycleConfiguration={"Rules": value})
        elif attribute == "policy":
            api.put_bucket_policy(**ours, Policy=json.dumps(value))

    def contents(self) -> str | None:
        """Old versions count: they are what versioning keeps after a mistaken deletion."""
        objects = len(self.api.list_objects_v2(**self._ours, MaxKeys=1000).get("Contents", ()))
        if objects:
            return "1 object" if objects == 1 else f"{objects:,}{'' if objects < 1000 else ' or more'} objects"
        old = any(page.get("Versions") for page in self._pages("list_object_versions"))
        return "old versions of objects" if old else None

    def delete(self) -> None:
        """All versions and delete markers first, then unfinished uploads: S3 deletes empty buckets only."""
        if not self._exists():
            return
        for page in self._pages("list_object_versions"):
            keys = [
                {"Key": version["Key"], "VersionId": version["VersionId"]}
                for version in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            ]
            if keys:
                left = self.api.delete_objects(**self._ours, Delete={"Objects": keys, "Quiet": True}).get("Errors")
                if left:
                    raise ServiceError(
                        f"cannot delete s3://{self.names.bucket}/{left[0]['Key']}: {left[0].get('Message')};"
                        " whatever is left stays, so mend this and run the command again"
                    )
        for page in self._pages("list_multipart_uploads"):
            for upload in page.get("Uploads", ()):
                key = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                aws_clients.unless(["NoSuchUpload"], self.api.abort_multipart_upload, **self._ours, **key)
        aws_clients.unless(_GONE, self.api.delete_bucket, **self._ours)

    @property
    def _ours(self) -> dict[str, str]:
        """The bucket, and the account that it must belong to: a stranger's of the same name is never touched."""
        return {"Bucket": self.names.bucket, "ExpectedBucketOwner": self.names.account}

    def _exists(self) -> bool:
        try:
            self.api.head_bucket(**self._ours)
        except aws_clients.exceptions.ClientError as error:
            if aws_clients.code(error) in _GONE:
                return False
            if aws_clients.code(error) == "403":
                raise ServiceError(
                    f"the bucket {self.names.bucket} belongs to another account, or you may not see it;"
                    " choose another --prefix, or see `ahx infra doctor`"
                ) from error
            raise
        return True

    def _pages(self, operation: str) -> Iterator[dict[str, Any]]:
        yield from self.api.get_paginator(operation).paginate(**self._ours)


def _rules(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In one order, and everything that a rule is about in one spelling: an empty filter is an empty prefix."""
    spelt = [{**rule, "Filter": rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}} for rule in rules]
    return sorted(spelt, key=lambda rule: str(rule.get("ID")))


def _algorithm(answer: dict[str, Any]) -> str | None:
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    return rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] if rules else None
