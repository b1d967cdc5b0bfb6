# Images of Dawn Chorus.  --target cpu: orchestrator, dispatcher, Flower, cpu workers; no TensorFlow in it.
# --target train: the gpu queue, served by a CPU.  --target gpu: the gpu queue on an NVIDIA GPU.
# The layers below are shared by all three; code comes last, so that a change of it moves a few megabytes.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS runtime
# The root file system may be read-only: whatever is written besides the store goes to /tmp.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib CHORUS_HOME=/tmp/chorus
# A new volume takes owner and mode of the folder it is mounted on: whatever user CHORUS_USER names may write to it.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin chorus \
    && install -d -o chorus -g chorus -m 1777 /store /state \
    && python -m venv --without-pip /opt/venv
WORKDIR /app
STOPSIGNAL SIGTERM
ENTRYPOINT ["orchestrator"]
CMD ["--help"]

# --- packages, from the lock files, with hashes -------------------------------------------------------------------
# Packages' own tests, which nothing reads at run time, are a seventh of their size.
FROM runtime AS packages
COPY requirements/base.lock requirements/
RUN pip --python /opt/venv/bin/python install --quiet --no-cache-dir --require-hashes -r requirements/base.lock \
    && find /opt/venv -depth -type d -name tests -exec rm -rf {} +
# The checkout is installed as a pointer to /app, and so again only when pyproject.toml changes.
COPY pyproject.toml ./
RUN touch README.md \
    && pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-deps --no-build-isolation --editable .

FROM packages AS packages-train
COPY requirements/train.lock requirements/
RUN pip --python /opt/venv/bin/python install --quiet --no-cache-dir --require-hashes -r requirements/train.lock

FROM packages AS packages-gpu
COPY requirements/gpu.lock requirements/
RUN pip --python /opt/venv/bin/python install --quiet --no-cache-dir --require-hashes -r requirements/gpu.lock

# --- the code, compiled once for all ------------------------------------------------------------------------------
FROM runtime AS code
COPY . .
RUN python -m compileall -q settings.py orchestrator workers tasks db domain

FROM packages AS cpu
COPY --from=code /app /app
USER 10001:10001

FROM packages-train AS train
COPY --from=code /app /app
USER 10001:10001

FROM packages-gpu AS gpu
COPY --from=code /app /app
USER 10001:10001
