# archsearch in an image, as its wheel is installed. On CPUs:
#   docker build -t archsearch . && docker run --rm --shm-size=4g -v "$PWD:/work" archsearch run digits
# On GPUs, which the machine's NVIDIA container toolkit hands in (torch brings its own CUDA; the base needs none):
#   docker build -t archsearch --build-arg BASE=nvidia/cuda:13.0.1-base-ubuntu24.04 . && docker run --gpus all ...
# The base: Debian or Ubuntu with python3 of 3.11 or newer, its own or the system's package.
ARG BASE=python:3.12-slim
FROM ${BASE} AS wheel
RUN command -v python3 && python3 -m venv --help > /dev/null && python3 -c 'import ensurepip' \
    || (apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*)
RUN python3 -m venv /build && /build/bin/pip install --no-cache-dir build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY archsearch archsearch
COPY search_spaces search_spaces
RUN /build/bin/python -m build --wheel --outdir /wheel

FROM ${BASE}
RUN command -v python3 && python3 -c 'import ensurepip' \
    || (apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*)
# EXTRAS= for the search alone; EXTRAS=[export,dashboard] for ONNX and Optuna's dashboard too.
ARG EXTRAS=[export]
COPY --from=wheel /wheel /wheel
COPY requirements.txt /wheel/
# The tested versions where the wheel asks for them: requirements.txt constrains, without its hashes.
RUN sed -e 's/ *\\$//' -e '/--hash/d' /wheel/requirements.txt > /wheel/constraints.txt \
    && python3 -m venv /opt/archsearch \
    && /opt/archsearch/bin/pip install --no-cache-dir --constraint /wheel/constraints.txt "$(ls /wheel/archsearch-*.whl)${EXTRAS}"
ENV PATH=/opt/archsearch/bin:$PATH
# experiments/, mlruns/ and data/ lie in the folder that is mounted here.
WORKDIR /work
ENTRYPOINT ["archsearch"]
CMD ["--help"]
