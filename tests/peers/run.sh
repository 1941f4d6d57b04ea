#!/bin/sh
# Limen against independent implementations; needs python3 with venv and pip, LIMEN_SHARED (weights, LFW) and a release
# build. Two environments, since the networks' readers and TensorFlow disagree about numpy.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$(dirname -- "$here")")
target=${CARGO_TARGET_DIR:-$root/target}
shared=${LIMEN_SHARED:-$root/../shared}
if [ ! -d "$shared/weights" ] || [ ! -d "$shared/data/lfw" ]; then
    echo "SKIPPED (no ../shared): peers"
    exit 0
fi
train=$target/release/limen-train
python() { # ENVIRONMENT REQUIREMENTS SCRIPT ARGUMENT...
    venv=$target/peers/$1
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement "$here/$2"
    shift 2
    "$venv/bin/python" "$@"
}
models=$target/peers/models
for net in p:pnet r:rnet o:onet; do
    "$train" import --weights "$shared/weights/mtcnn-facenet-pytorch/${net#*:}.pt" --arch "mtcnn-${net%%:*}" \
        --licence MIT --source facenet-pytorch --out "$models"
done
"$train" import --onnx "$shared/weights/limen-pilot/sf10-half-bn-folded.onnx" --kind embedder --id limen-pilot \
    --licence research --source limen-pilot --out "$models"
python nets requirements.txt "$here/import_check.py" --shared "$shared" --limen-train "$train"
python nets requirements.txt "$here/alignment_check.py" "$train" "$models" "$shared"/data/lfw/A*/*_0001.jpg
python nets requirements.txt "$here/quantise_check.py" "$train" "$models" limen-pilot "$shared"/data/lfw/B*/*_0001.jpg
python mtcnn requirements-mtcnn.txt "$here/detector_agreement.py" "$train" "$models" "$shared/data/lfw" 200
