"""Corrections of moto 5.2.5, by service, where it leaves out or contradicts what AWS documents."""

from infra.embedded.moto_patches import budgets, cloudwatch, ecr, iam, large_objects, logs, s3


def apply() -> None:
    """Patch moto in this process. A second call changes nothing."""
    for service in (budgets, cloudwatch, ecr, iam, logs, s3, large_objects):
        service.patch()
