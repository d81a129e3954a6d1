"""The bucket of data, checkpoints and models."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ahx.errors import ServiceError
from infra.provision.resource import Attributes, Resource, document, our_tags, tag_list, unless
from infra.provision.stack_id import StackId
from infra.provision.statements import Policy, Statement, allow, policy

CHECKPOINT_DAYS = 30  # since they were written; models and data are kept until they are deleted
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
    """Private, encrypted, versioned, reached through TLS only; no access lists; old versions and checkpoints expire."""

    kind = "bucket"
    service = "s3"
    name_format = "{prefix}-{account}-{region}"  # buckets share one name space with all of AWS
    arn_format = "arn:{partition}:s3:::{name}"

    def data_uri(self, name: str) -> str:
        """The folder of one data set."""
        return f"s3://{self.name}/data/{name}"

    def checkpoints_uri(self, job: str) -> str:
        """What /opt/ml/checkpoints of one job is kept in sync with."""
        return f"s3://{self.name}/checkpoints/{job}"

    @property
    def output_uri(self) -> str:
        """S3OutputPath of all jobs: SageMaker adds JOB/output/model.tar.gz and JOB/output/output.tar.gz."""
        return f"s3://{self.name}/output"

    def provisioner_permissions(self) -> list[Statement]:
        buckets = ["Policy", "PublicAccessBlock", "Tagging", "Versioning", "OwnershipControls"]
        settings = [*(f"Bucket{one}" for one in buckets), "EncryptionConfiguration", "LifecycleConfiguration"]
        both = [f"{verb}{setting}" for setting in settings for verb in ("Get", "Put")]
        others = [
            "CreateBucket",
            "DeleteBucket",
            "TagResource",
            "ListBucket",
            "ListBucketVersions",
            "ListBucketMultipartUploads",
        ]
        empty = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload"]
        return [
            allow("BucketItself", [f"s3:{action}" for action in (*both, *others)], self.arn),
            allow("EmptyTheBucket", empty, f"{self.arn}/*"),
        ]

    def user_permissions(self) -> list[Statement]:
        objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        return [allow("FindObjects", ["s3:ListBucket"], self.arn), allow("Objects", objects, f"{self.arn}/*")]

    def job_permissions(self) -> list[Statement]:
        return [
            allow("FindData", ["s3:ListBucket"], self.arn),
            allow("ReadDataAndWriteModels", ["s3:GetObject", "s3:PutObject"], f"{self.arn}/*"),
        ]

    def wanted(self, live: Attributes | None) -> Attributes:
        names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        return {
            "tags": self.stack_id.tags,
            "public access block": dict.fromkeys(names, True),
            "ownership": "BucketOwnerEnforced",
            "encryption": "AES256",
            "versioning": "Enabled",
            "lifecycle": _LIFECYCLE,
            "policy": document(only_with_tls(self.stack_id)),
        }

    def read(self) -> Attributes | None:
        if not self._exists():
            return None
        api, ours = self.api, self._ours
        tags = unless(["NoSuchTagSet"], api.get_bucket_tagging, **ours)
        block = unless(["NoSuchPublicAccessBlockConfiguration"], api.get_public_access_block, **ours)
        owner = unless(["OwnershipControlsNotFoundError"], api.get_bucket_ownership_controls, **ours)
        crypt = unless(["ServerSideEncryptionConfigurationNotFoundError"], api.get_bucket_encryption, **ours)
        rules = unless(["NoSuchLifecycleConfiguration"], api.get_bucket_lifecycle_configuration, **ours)
        policy = unless(["NoSuchBucketPolicy"], api.get_bucket_policy, **ours)
        return {
            "tags": our_tags(self.stack_id, tags["TagSet"] if tags else []),
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
            Bucket=self.name, ObjectOwnership=wanted["ownership"], CreateBucketConfiguration=configuration
        )
        return ["tags", "ownership"]

    def write(self, attribute: str, value: Any) -> None:
        api, ours = self.api, self._ours
        if attribute == "public access block":
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

    def write_tags(self, tags: Mapping[str, str]) -> None:
        """S3's call replaces all tags."""
        found = unless(["NoSuchTagSet"], self.api.get_bucket_tagging, **self._ours)
        others = [tag for tag in (found["TagSet"] if found else []) if tag["Key"] not in tags]
        self.api.put_bucket_tagging(**self._ours, Tagging={"TagSet": [*others, *tag_list(tags)]})

    def contents(self) -> str | None:
        """Old versions count: versioning keeps them after a mistaken deletion."""
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
                        f"cannot delete s3://{self.name}/{left[0]['Key']}: {left[0].get('Message')};"
                        " what is left stays; solve this, and run the command again"
                    )
        for page in self._pages("list_multipart_uploads"):
            for upload in page.get("Uploads", ()):
                key = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                unless(["NoSuchUpload"], self.api.abort_multipart_upload, **self._ours, **key)
        unless(_GONE, self.api.delete_bucket, **self._ours)

    @property
    def _ours(self) -> dict[str, str]:
        """The bucket, and the account that it must belong to: another account's of that name is never touched."""
        return {"Bucket": self.name, "ExpectedBucketOwner": self.stack_id.account}

    def _exists(self) -> bool:
        from infra import aws_clients

        try:
            self.api.head_bucket(**self._ours)
        except aws_clients.exceptions.ClientError as error:
            if aws_clients.code(error) in _GONE:
                return False
            if aws_clients.code(error) == "403":
                raise ServiceError(
                    f"the bucket {self.name} belongs to another account, or you may not see it;"
                    " choose another --prefix, or see `ahx infra doctor`"
                ) from error
            raise
        return True

    def _pages(self, operation: str) -> Iterator[dict[str, Any]]:
        yield from self.api.get_paginator(operation).paginate(**self._ours)


def only_with_tls(stack_id: StackId) -> Policy:
    """The bucket's own policy: denies all requests without TLS."""
    arn = Bucket(stack_id).arn
    return policy(
        {
            "Sid": "OnlyWithTLS",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def _rules(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In one order and one spelling: an empty filter is an empty prefix."""
    spelt = [{**rule, "Filter": rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}} for rule in rules]
    return sorted(spelt, key=lambda rule: str(rule.get("ID")))


def _algorithm(answer: dict[str, Any]) -> str | None:
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    return rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] if rules else None
