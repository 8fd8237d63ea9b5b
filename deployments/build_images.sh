#!/bin/sh
# Build the image of every role of integrity.toml, signed, and print each one's name. The releases in them are put into
# $MANIFESTS (.pipeline/images), for the registration.
#   PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:... SIGNING_KEY=key.pem TRUSTED_KEYS=BASE64 \
#       deployments/build_images.sh europe-docker.pkg.dev/PROJECT/courtside
# Push with `docker push`; register and deploy by digest (docs/production.md).
set -eu
cd "$(dirname "$0")/.."
registry=${1:?"name the registry folder, such as europe-docker.pkg.dev/PROJECT/courtside"}
: "${PYTHON_IMAGE:?"name the base by digest: python:3.11-slim-bookworm@sha256:..."}"
: "${SIGNING_KEY:?"name the PEM file of the key that signs releases"}"
: "${TRUSTED_KEYS:?"give the public key that the images trust"}"
case $PYTHON_IMAGE in *@sha256:*) ;; *)
    echo "PYTHON_IMAGE=$PYTHON_IMAGE names a tag, which may be another image tomorrow: add @sha256:..." >&2
    exit 2 ;;
esac
manifests=${MANIFESTS:-.pipeline/images}
mkdir -p "$manifests"
roles=$(python3 -c 'import tomllib; print(*tomllib.load(open("integrity.toml", "rb"))["roles"])')
for role in $roles; do
    name="$registry/$role:$(git rev-list --count HEAD)-$(git rev-parse --short=12 HEAD)"
    docker build --quiet --build-arg "PYTHON_IMAGE=$PYTHON_IMAGE" --build-arg "ROLE=$role" \
        --build-arg "TRUSTED_KEYS=$TRUSTED_KEYS" --secret "id=signing_key,src=$SIGNING_KEY" --tag "$name" . >/dev/null
    container=$(docker create "$name")
    docker cp --quiet "$container:/app/release.json" "$manifests/$role.json"
    docker rm "$container" >/dev/null
    echo "$role $name"
done
