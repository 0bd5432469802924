# The production images: the worker, and the alert bridge, each with what it needs to run, nothing to build or test with.
# Built alike by BuildKit and by the classic builder: no syntax line, no --mount, no --chmod.
# The name says the Debian release too: the bare 3.12-slim moves to the next one by itself.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements.txt .
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-deps --require-hashes -r requirements.txt
# The pose networks, out of a wheel that is not installed (docs/adr/0108-todays-machines.md); into /opt/venv, too.
COPY requirements-networks.txt .
COPY size_rec/__init__.py size_rec/
COPY size_rec/pose/__init__.py size_rec/pose/network_files.py size_rec/pose/fetch_networks.py size_rec/pose/
RUN /opt/venv/bin/python -m size_rec.pose.fetch_networks
# Last, as it takes pip away, too (docs/adr/0039-only-what-is-used-is-installed.md).
COPY image image
RUN /opt/venv/bin/python -m image.prune_packages \
    && rm /opt/venv/bin/pip*

# The alert bridge (docs/whatsapp.md), an image of its own: docker build --target whatsapp-bridge .
FROM ${BASE_IMAGE} AS whatsapp-bridge-packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements-whatsapp-bridge.txt .
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-deps --require-hashes -r requirements-whatsapp-bridge.txt
COPY image image
RUN /opt/venv/bin/python -m image.prune_packages \
    && rm /opt/venv/bin/pip*

FROM ${BASE_IMAGE} AS whatsapp-bridge
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# A new volume takes over the owner of the directory that it is mounted on.
RUN groupadd --system --gid 10002 bridge \
    && useradd --system --uid 10002 --gid bridge --no-create-home --shell /usr/sbin/nologin bridge \
    && install -d -o bridge -g bridge -m 0700 /var/lib/whatsapp-bridge \
    && rm -rf "$(python -c 'import ensurepip; print(*ensurepip.__path__)')" \
        /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip*
WORKDIR /app
COPY --from=whatsapp-bridge-packages /opt/venv /opt/venv
COPY monitoring/__init__.py monitoring/
COPY monitoring/whatsapp_bridge monitoring/whatsapp_bridge
RUN chmod -R a+rX .
USER 10002:10002
EXPOSE 8085
CMD ["python", "-m", "monitoring.whatsapp_bridge", "serve"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-m", "monitoring.whatsapp_bridge", "health"]
ARG VERSION=unknown
ARG REVISION=unknown
ARG BASE_IMAGE
LABEL org.opencontainers.image.title="wearon-worker-whatsapp-bridge" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"

# The worker, last: it is what a build without --target makes.
FROM ${BASE_IMAGE}
ENV PATH=/opt/venv/bin:/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    # Two heaps instead of eight per core: see MALLOC_ARENAS in worker/supervision/executor.py.
    MALLOC_ARENA_MAX=2
# The base brings pip, and Python the means to get it back; whoever breaks in shall find neither.
RUN groupadd --system --gid 10001 worker \
    && useradd --system --uid 10001 --gid worker --no-create-home --shell /usr/sbin/nologin worker \
    && rm -rf "$(python -c 'import ensurepip; print(*ensurepip.__path__)')" \
        /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip*
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY main.py ./
COPY config config
COPY models models
COPY services services
COPY worker worker
COPY size_rec size_rec
COPY web web
COPY operations operations
COPY bin bin
# A working copy made under umask 077 builds an image that runs, too.
RUN chmod -R a+rX .
USER 10001:10001
EXPOSE 8000
# Exec form: SIGTERM reaches the worker itself, which then drains.
CMD ["python", "main.py"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["wearon", "health"]
# At the end: another commit changes no layer above.
ARG VERSION=unknown
ARG REVISION=unknown
ARG BASE_IMAGE
LABEL org.opencontainers.image.title="wearon-worker" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
# The running worker says them in wearon_build_info.
ENV WEARON_VERSION="${VERSION}" WEARON_COMMIT="${REVISION}"
