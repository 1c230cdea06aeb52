# The commands for CPUs. Build: docker build --tag=seer-tf .
# Run: docker run --rm --volume=DIR:/data seer-tf COMMAND --data=folder:/data/IMAGES ...
FROM python:3.12.11-slim-bookworm
WORKDIR /opt/seer_tf
COPY pyproject.toml setup.cfg constraints.txt README.md LICENSE ./
COPY seer_tf seer_tf
RUN pip install --no-cache-dir --constraint=constraints.txt .
WORKDIR /data
ENTRYPOINT ["seer-tf"]
