import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

const session = ort.InferenceSession.create("style.onnx");

/** Paint an ImageData of at least 16 × 16 pixels; the network takes and gives 1 × 3 × height × width, from 0 to 1. */
export async function paint({ width, height, data }) {
    const size = width * height;
    const photograph = Float32Array.from({ length: 3 * size }, (_, i) => data[4 * (i % size) + Math.floor(i / size)] / 255);
    const input = new ort.Tensor("float32", photograph, [1, 3, height, width]);
    const { picture } = await (await session).run({ photograph: input });
    const painted = Uint8ClampedArray.from({ length: 4 * size }, (_, i) => i % 4 < 3 ? 255 * picture.data[(i % 4) * size + (i >> 2)] : 255);
    return new ImageData(painted, width, height);
}
