# One image for `docker run`, for SageMaker's local mode and for SageMaker itself. `make image` builds it; docs/container.md
# shows how to do it by hand. There is no syntax line: BuildKit's own syntax does, and needs nothing from a registry.

ARG BASE_IMAGE=python:3.11-slim-bookworm
# Which torch: `cpu` or `cuda`, as in the name of its lock file, container/torch-*.lock.
ARG TORCH=cpu
# `mlflow` for jobs that report to MLflow, as in the name of container/mlflow.lock; usually nothing.
ARG EXTRAS=

# Wheels that `make image` has fetched beforehand. Without any, pip fetches them in the stages below.
FROM scratch AS torch-wheels
ARG TORCH
COPY container/torch-${TORCH}.lock build/wheels/${TORCH}*/*.whl /

FROM scratch AS library-wheels
COPY container/requirements.lock container/mlflow.lock build/wheels/common*/*.whl build/wheels/mlflow*/*.whl /

# What builds and installs, and stays behind: the image is put together from an empty base at the end.
FROM ${BASE_IMAGE} AS tools
# A Python from Debian keeps its headers in a package of their own.
RUN apt-get update -qq \
    && headers=$(python -c 'import sysconfig; print(sysconfig.get_path("include"))') \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        binutils gcc libc6-dev $([ -e "$headers/Python.h" ] || echo python3-dev)
# A bundle of certificates for pip can be passed as the secret `ca`: the commands that mount it see it, no layer has it.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    PIP_NO_DEPS=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
RUN python -m venv --without-pip /opt/ahx
WORKDIR /opt/ahx/lib/python3.11/site-packages

FROM tools AS torch
ARG TORCH
ARG TORCH_LINKS=https://download.pytorch.org/whl/cpu/torch/
RUN --mount=type=bind,from=torch-wheels,target=/wheels \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    pip --python /opt/ahx/bin/python install --no-compile --find-links /wheels --find-links "$TORCH_LINKS" \
        --require-hashes -r /wheels/torch-${TORCH}.lock
# Training reads no tests, headers or tools for building C++ against torch, and only a debugger reads the symbols that
# strip removes. (Not so from libraries that a wheel has brought in from elsewhere, as numpy's: strip breaks them.)
RUN find torch/bin -type f ! -name torch_shm_manager -delete \
    && rm -rf torch/test torch/include torch/share torch/lib/*test*.so \
    && strip --strip-unneeded torch/lib/libtorch*.so torch/lib/libc10*.so \
    && python -m compileall -q -j 0 -x py312 .

# SageMaker's toolkit, of which there are no wheels, and then this project.
FROM tools AS wheels
COPY container/build.lock container/toolkit.lock /
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    pip --python /opt/ahx/bin/python install --require-hashes -r /build.lock \
    && pip --python /opt/ahx/bin/python wheel --no-build-isolation --use-pep517 --wheel-dir /toolkit \
        --require-hashes -r /toolkit.lock
COPY LICENSE README.md pyproject.toml /source/
COPY src /source/src
COPY entrypoints /source/entrypoints
COPY container /source/container
COPY infra /source/infra
RUN pip --python /opt/ahx/bin/python wheel --no-build-isolation --wheel-dir /project /source

FROM tools AS project
RUN --mount=type=bind,from=wheels,source=/project,target=/project \
    pip --python /opt/ahx/bin/python install --no-compile --no-index /project/*.whl && python -m compileall -q .

FROM tools AS libraries
ARG EXTRAS
RUN --mount=type=bind,from=library-wheels,target=/wheels \
    --mount=type=bind,from=wheels,source=/toolkit,target=/toolkit \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    for lock in requirements $EXTRAS; do \
        pip --python /opt/ahx/bin/python install --no-compile --find-links /wheels --require-hashes -r "/wheels/$lock.lock" || exit 1; \
    done \
    && pip --python /opt/ahx/bin/python install --no-compile --no-index /toolkit/*.whl
# botocore describes 440 services in 22 MB: those that this project calls are kept. sympy, mpmath and networkx are left
# uncompiled (61 MB), because torch reads them for torch.compile only, and that needs a compiler, which the image has not; none of it needs physics.
RUN find . -type d \( -name tests -o -name benchmarks \) -prune -exec rm -rf {} + \
    && rm -rf sympy/physics \
    && find . \( -name '*.a' -o -name '*.h' -o -name '*.pyi' -o -name '*.pxd' \) -delete \
    && find botocore/data -mindepth 1 -maxdepth 1 -type d | grep -v -x -E \
        'botocore/data/(cloudwatch|ecr|iam|logs|s3|sagemaker|service-quotas|signin|sso|sso-oidc|sts)' | xargs rm -rf \
    && python -m compileall -q -j 0 -x '/(mpmath|networkx|sympy)/' .

FROM ${BASE_IMAGE}
# Nothing here installs packages or changes users: pip, what it would bring up again (ensurepip's wheels) and caches go, and
# no program has another user's rights. Python's own modules start quicker compiled; a base image may come without.
# Any user may write to /data, and where a job writes in /opt/ml; SageMaker's toolkit does nothing, and reports success,
# where /opt/ml/output is missing.
RUN dpkg-query --show --showformat '${Package}\n' | grep -x -E 'python3(\.[0-9]+)?-(pip|venv|setuptools|wheel|pkg-resources|.*-whl)' \
        | xargs --no-run-if-empty dpkg --purge \
    && stdlib=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') \
    && cd "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && rm -rf pip* setuptools* wheel* pkg_resources _distutils_hack distutils-precedence.pth "$stdlib/ensurepip/_bundled" \
        /usr/local/bin/pip* /usr/local/bin/wheel /var/cache/apt/* /var/cache/debconf/* /var/lib/apt/lists/* /var/log/* ~/.cache \
    && find / -xdev -perm /6000 -type f -exec chmod a-s {} + \
    && python -m compileall -q -j 0 -x '/(test|tests|idlelib|lib2to3|site-packages|dist-packages)/' "$stdlib" \
    && mkdir -p /data /opt/ml/checkpoints /opt/ml/code /opt/ml/input/config /opt/ml/input/data /opt/ml/model /opt/ml/output/data /opt/ml/scratch \
    && chmod 1777 /data /opt/ml/checkpoints /opt/ml/model /opt/ml/output /opt/ml/output/data /opt/ml/scratch
# The NVIDIA variables are how a container asks for the driver, where its machine has one.
ENV PATH=/opt/ahx/bin:$PATH NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 SAGEMAKER_TRAINING_MODULE=entrypoints.container:main
COPY --from=torch /opt/ahx /opt/ahx
COPY --from=libraries /opt/ahx /opt/ahx
COPY --from=project /opt/ahx /opt/ahx
COPY --chmod=755 container/train /opt/ahx/bin/train
ARG BASE_IMAGE TORCH EXTRAS VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title="ahx-transformer" \
    org.opencontainers.image.description="From-scratch transformers that learn to rewrite strings exactly" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION" \
    org.opencontainers.image.base.name="$BASE_IMAGE" \
    ahx.torch="$TORCH" \
    ahx.extras="$EXTRAS"
WORKDIR /data
# No entrypoint: SageMaker calls `train`, local mode calls nothing, and people call `ahx VERB`.
CMD ["train"]
