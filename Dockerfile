# Images of Dawn Chorus.  --target cpu: orchestrator, dispatcher, Flower, cpu workers; without TensorFlow.
# --target train: the gpu queue, served by a CPU.  --target gpu: the gpu queue on an NVIDIA GPU.
# All three share the layers below. The code comes last, so a change of it replaces a few megabytes only.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS runtime
# The root file system may be read-only: all writes outside the store go to /tmp.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib CHORUS_HOME=/tmp/chorus
# A new volume gets owner and mode of its mount point. Mode 1777 lets any user that CHORUS_USER names write to it.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin chorus \
    && install -d -o chorus -g chorus -m 1777 /store /state \
    && python -m venv --without-pip /opt/venv
WORKDIR /app
STOPSIGNAL SIGTERM
ENTRYPOINT ["orchestrator"]
CMD ["--help"]

# --- packages, from the lock files, with hashes -------------------------------------------------------------------
# The packages' own tests are a seventh of the size and not needed at run time.
# LOCK=base leaves out PyAV (100 MB), which decodes m4a, mp4, webm, wma and others (docs/reference/audio.md).
FROM runtime AS packages
ARG LOCK=formats
COPY requirements/base.lock requirements/formats.lock requirements/
RUN pip --python /opt/venv/bin/python install --quiet --no-cache-dir --require-hashes -r requirements/${LOCK}.lock \
    && find /opt/venv -depth -type d -name tests -exec rm -rf {} +
# An editable install is a pointer to /app, so this layer changes only with pyproject.toml.
COPY pyproject.toml ./
RUN touch README.md \
    && pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-deps --no-build-isolation --editable .

FROM packages AS packages-train
COPY requirements/train.lock requirements/
RUN pip --python /opt/venv/bin/python install --quiet --no-cache-dir --require-hashes -r requirements/train.lock

FROM packages AS packages-gpu
COPY requirements/gpu.lock requirements/
RUN pip --python /opt/venv/bin/python install --quiet --no-cache-dir --require-hashes -r requirements/gpu.lock

# --- the code, compiled once for all images ------------------------------------------------------------------------------
FROM runtime AS code
COPY . .
RUN python -m compileall -q settings.py dawn_chorus orchestrator workers tasks db domain

FROM packages AS cpu
COPY --from=code /app /app
USER 10001:10001

FROM packages-train AS train
COPY --from=code /app /app
USER 10001:10001

FROM packages-gpu AS gpu
COPY --from=code /app /app
USER 10001:10001
