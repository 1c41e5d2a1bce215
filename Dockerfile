# prodcat on a CPU: docker build -t prodcat .
FROM python:3.12-slim AS build
# Address of wheels of torch for CPUs, which come without CUDA; see pytorch.org.
ARG TORCH_INDEX=""
WORKDIR /source
RUN python -m venv /opt/prodcat
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY scripts/constraints.txt scripts/
RUN if [ -n "$TORCH_INDEX" ]; then \
      /opt/prodcat/bin/pip install --index-url "$TORCH_INDEX" -c scripts/constraints.txt torch torchvision; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY prodcat_index prodcat_index
RUN /opt/prodcat/bin/pip install -c scripts/constraints.txt .

FROM python:3.12-slim
COPY --from=build /opt/prodcat /opt/prodcat
RUN useradd --uid 1000 --create-home prodcat && install --directory --owner prodcat /data
# The cache is in the volume, so that it is there in the next run; any user may run this.
ENV PATH=/opt/prodcat/bin:$PATH PRODCAT_CACHE=/data/.cache MPLCONFIGDIR=/tmp/matplotlib HF_HOME=/data/.cache/models
USER prodcat
# Catalogues, and the folder indexes.
WORKDIR /data
VOLUME /data
ENTRYPOINT ["prodcat"]
CMD ["--help"]
