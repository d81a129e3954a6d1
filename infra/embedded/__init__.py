"""An AWS on this machine: moto's server, with our own SageMaker, registry and access control over it.

server         assembles the parts, listens, stops
app            which part answers a request; control: our own API, of which remote is the client; faults: injected ones
http           the protocols of AWS
access         who may send a request: origins, signatures, keys
iam            evaluation of policies
sagemaker      service: its parts; api: what all operations share; jobs; execution; training, tuning: the operations
registry       ECR's registry of images
state          what survives a restart
moto_patches   corrections of moto, by service; moto_lookup: reads moto's state
"""

from importlib.util import find_spec

from ahx.errors import ServiceError

for _package in ("boto3", "moto", "flask", "flask_cors"):
    if find_spec(_package) is None:
        raise ServiceError(
            f"this needs the package {_package}, which is not installed; run: pip install 'ahx-transformer[embedded]'"
        )
