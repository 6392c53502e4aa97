# One image for every process of ours; docker-compose.yml says which one it runs.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY gateway gateway
COPY schemas schemas
COPY consumers consumers
COPY dashboard dashboard
RUN python -m venv /opt/gateway && /opt/gateway/bin/pip install --no-cache-dir ".[artifacts,mlflow,mlflow-postgresql,wandb,parquet,tensorboard]"

FROM python:3.11-slim
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --create-home gateway && install -d -o gateway /data/wandb /data/mlflow /data/parquet /data/tensorboard /data/trackio /data/artifacts
USER gateway
CMD ["gateway", "--help"]
