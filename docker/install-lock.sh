#!/bin/sh
# install-lock FILE: make the environment /opt/evergreen with exactly the packages of a lock.
# Every file is checked against its hash while it is fetched; what has no wheel is built with /opt/build.
set -eu
wheels=$(mktemp -d)
/opt/build/bin/pip wheel --cache-dir /var/cache/pip --require-hashes --no-deps --no-build-isolation \
    --wheel-dir "$wheels" -r "$1"
python -m venv --without-pip /opt/evergreen
/opt/build/bin/pip --python /opt/evergreen/bin/python install --no-cache-dir --no-deps --no-index "$wheels"/*.whl
rm -rf "$wheels"
# Evergreen's code comes in a layer of its own.
site=$(/opt/evergreen/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo /opt/evergreen-code > "$site/evergreen-code.pth"
# A sixth of these packages is their own tests, which nothing imports.
for package in numpy pandas pyarrow scipy sklearn; do
    [ ! -d "$site/$package" ] || find "$site/$package" -type d -name tests -prune -exec rm -rf {} +
done
