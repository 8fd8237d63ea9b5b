# One image for each role of integrity.toml: deployments/build_images.sh builds them all.
#   docker build --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:... --build-arg ROLE=precompute \
#       --secret id=signing_key,src=key.pem --build-arg TRUSTED_KEYS=... .
# The base has no default: a digest is what makes a build repeatable, and only who builds can have looked it up.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS base
# LightGBM's OpenMP runtime is not in its wheel. Zone data come with the lock (tzdata), the same on every machine.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/*
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM base AS packages
COPY requirements-runtime.lock /
RUN python3 -m venv /venv \
 && pip install --no-cache-dir --no-compile --no-deps --require-hashes --requirement /requirements-runtime.lock \
 && python -m compileall -q -j 0 --invalidation-mode checked-hash /venv/lib

# Only what is committed gets in: the tree is cloned from the history beside the Dockerfile.
FROM packages AS release
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git \
 && rm -rf /var/lib/apt/lists/*
ARG ROLE
ARG TRUSTED_KEYS
ENV INTEGRITY_TRUSTED_KEYS=${TRUSTED_KEYS} \
    INTEGRITY_HOME=/tmp/integrity
WORKDIR /app
RUN --mount=type=bind,source=.,target=/src \
    --mount=type=secret,id=signing_key,target=/run/signing_key.pem,required=true \
    test -n "${ROLE}" || { echo "name the role: --build-arg ROLE=analytics|precompute|predictions|all" >&2; exit 2; } \
 && git -c safe.directory='*' clone --quiet /src /app \
 && python -m deployments.integrity build --role "${ROLE}" --lock requirements-runtime.lock \
 && python -m deployments.integrity sign --key /run/signing_key.pem \
 && python -m compileall -q --invalidation-mode checked-hash flows tasks blocks deployments \
 && python -m deployments.integrity verify --local --full \
 && mkdir /release \
 && python -m deployments.metadata /release \
 && mv flows tasks blocks deployments integrity.toml prefect.yaml pyproject.toml requirements-runtime.lock release.json /release

FROM base
ARG TRUSTED_KEYS
ENV INTEGRITY_ROOT=/app \
    INTEGRITY_HOME=/var/lib/courtside \
    INTEGRITY_TRUSTED_KEYS=${TRUSTED_KEYS} \
    PREFECT_HOME=/var/lib/courtside \
    PREFECT_PLUGINS_ENABLED=1 \
    PREFECT_PLUGINS_STRICT=1 \
    PYTHONPATH=/app
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/courtside courtside
COPY --from=packages /venv /venv
COPY --from=release /release /app
WORKDIR /app
USER 10001
# Without an argument it says what can be started and exits with 64: an image never guesses its role.
CMD ["python", "-m", "deployments.start"]
