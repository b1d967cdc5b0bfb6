# Images of Dawn Chorus: `--target cpu` (orchestrator, dispatcher, Flower, cpu workers; no TensorFlow),
# `--target train` (gpu queue on a CPU), `--target gpu` (gpu queue on an NVIDIA GPU).
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

# --- packages, from the lock files, with hashes -------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS packages-base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
RUN python -m venv --symlinks /opt/venv
COPY requirements/base.lock requirements/
RUN /opt/venv/bin/pip install --quiet --require-hashes -r requirements/base.lock
# The checkout itself is installed as a pointer to /app: it changes with pyproject.toml alone.
COPY pyproject.toml ./
RUN touch README.md && /opt/venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .

# Packages' own tests and pip are a seventh of it, and nothing at run time reads them.
FROM packages-base AS packages-cpu
RUN find /opt/venv -depth -type d -name tests -path '*/site-packages/*' -exec rm -rf {} + \
    && rm -rf /opt/venv/lib/python3.*/site-packages/pip /opt/venv/lib/python3.*/site-packages/pip-*

FROM packages-base AS packages-train
COPY requirements/train.lock requirements/
RUN /opt/venv/bin/pip install --quiet --require-hashes -r requirements/train.lock

FROM packages-base AS packages-gpu
COPY requirements/gpu.lock requirements/
RUN /opt/venv/bin/pip install --quiet --require-hashes -r requirements/gpu.lock

# --- what all images share ----------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS runtime
# The root file system may be read-only: whatever is written besides the store goes to /tmp.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib CHORUS_HOME=/tmp/chorus
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin chorus \
    && install -d -o chorus -g chorus /store /state
WORKDIR /app
STOPSIGNAL SIGTERM
ENTRYPOINT ["orchestrator"]
CMD ["--help"]

FROM runtime AS code
COPY . /app
RUN rm -rf requirements && python -m compileall -q /app

FROM runtime AS cpu
COPY --from=packages-cpu /opt/venv /opt/venv
COPY --from=code /app /app
USER 10001:10001

FROM runtime AS train
COPY --from=packages-train /opt/venv /opt/venv
COPY --from=code /app /app
USER 10001:10001

FROM runtime AS gpu
COPY --from=packages-gpu /opt/venv /opt/venv
COPY --from=code /app /app
USER 10001:10001
