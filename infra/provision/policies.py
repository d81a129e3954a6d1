"""Who may do what, as IAM policies: each resource lists its permissions, and this module combines them.

Nothing here asks AWS. The policies of the role (`role.py`) and of the bucket (`bucket.py`) stand with their resources.
"""

from infra.provision import role, training_jobs
from infra.provision.resource import NO_MLFLOW, Choices
from infra.provision.stack import resources
from infra.provision.stack_id import StackId
from infra.provision.statements import Policy, allow, policy


def training(stack_id: StackId, mlflow: str = NO_MLFLOW) -> Policy:
    """What a training job may do."""
    return role.permissions(stack_id, mlflow)


def user(stack_id: StackId) -> Policy:
    """What training from a laptop needs, and no more: jobs of this project, its bucket, its image, logs, quotas."""
    own = f"arn:{stack_id.partition}:iam::{stack_id.account}:user/${{aws:username}}"
    return policy(
        *training_jobs.user_permissions(stack_id),
        *(one for resource in resources(stack_id, Choices()) for one in resource.user_permissions()),
        allow("CheckOwnPermissions", ["iam:SimulatePrincipalPolicy"], own),
    )


def provisioner(stack_id: StackId) -> Policy:
    """What `ahx infra plan`, `apply` and `destroy` need beside `user`: to read, write and delete our resources.

    Whoever may write the bucket's policy may also grant themselves its objects: give this to who has `user` as well.
    """
    return policy(
        *(one for resource in resources(stack_id, Choices()) for one in resource.provisioner_permissions()),
    )
