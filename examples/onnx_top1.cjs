// node onnx_top1.cjs RUNTIME NET.onnx CIFAR_FOLDER IMAGES: top-1 on CIFAR-10's test batch in ONNX Runtime (RUNTIME: the folder of
// onnxruntime-node). The file's metadata says how pixels become inputs; the runtime's JavaScript interface does not show it.
'use strict';
const fs = require('fs');
const path = require('path');
const [runtime, net, folder, images] = process.argv.slice(2);
const ort = require(path.resolve(runtime));
const MEAN = [0.485, 0.456, 0.406], DEVIATION = [0.229, 0.224, 0.225], PIXELS = 1024, ROW = 3073, BATCH = 100;

(async () => {
  const session = await ort.InferenceSession.create(net, { logSeverityLevel: 3 });
  const bytes = fs.readFileSync(path.join(folder, 'test_batch.bin'));
  const count = Math.min(Number(images), bytes.length / ROW);
  let right = 0;
  for (let at = 0; at < count; at += BATCH) {
    const n = Math.min(BATCH, count - at), data = new Float32Array(n * 3 * PIXELS);
    for (let i = 0; i < data.length; i++) {
      const image = Math.floor(i / (3 * PIXELS)), inside = i % (3 * PIXELS), c = Math.floor(inside / PIXELS);
      data[i] = (bytes[(at + image) * ROW + 1 + inside] / 255 - MEAN[c]) / DEVIATION[c];
    }
    const logits = (await session.run({ image: new ort.Tensor('float32', data, [n, 3, 32, 32]) })).logits;
    const classes = logits.dims[1];
    for (let i = 0; i < n; i++) {
      const row = logits.data.subarray(i * classes, (i + 1) * classes);
      right += row.indexOf(Math.max(...row)) === bytes[(at + i) * ROW];
    }
  }
  console.log((100 * right / count).toFixed(2));
})();
