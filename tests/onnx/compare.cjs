// node compare.cjs MODULE FOLDER LEAST FILE.onnx...: each file in ONNX Runtime (MODULE: the folder of onnxruntime-node) on the images
// and logits that onnx_samples left in FOLDER. Prints one JSON object a file:
//     top1_equal   images with the packed network's top-1
//     moved        images in which rounding somewhere moved a code to its neighbour: a logit differs by more than 1e-4 of the largest
//     unlike       of those, the ones whose top-1 is another
//     worst        largest difference of a logit, in parts of the image's largest
// Fails if a file does not run, or if fewer than LEAST of the images have the top-1. LEVEL: the runtime's graph optimization level.
'use strict';
const fs = require('fs');
const path = require('path');
const [moduleFolder, folder, least, ...files] = process.argv.slice(2);
const ort = require(path.resolve(moduleFolder));
const version = JSON.parse(fs.readFileSync(path.join(moduleFolder, 'package.json'))).version;
const text = fs.readFileSync(path.join(folder, 'shape.txt'), 'utf8');
const [count, channels, height, width, classes] = text.split(' ').map(Number);
const BATCH = 50;

function floats(name) {
  const bytes = fs.readFileSync(path.join(folder, name));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

const images = floats('images.f32');
const logits = floats('logits.f32');
const row = (data, index) => Array.from(data.subarray(index * classes, (index + 1) * classes));
const top = values => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

async function compare(file) {
  const session = await ort.InferenceSession.create(file, {
    intraOpNumThreads: 1, logSeverityLevel: 3, graphOptimizationLevel: process.env.LEVEL || 'all' });
  const size = channels * height * width;
  const result = { file: path.basename(file), bytes: fs.statSync(file).size, images: count, top1_equal: 0, moved: 0, unlike: [], worst: 0 };
  const begun = process.hrtime.bigint();
  for (let at = 0; at < count; at += BATCH) {
    const n = Math.min(BATCH, count - at);
    const image = new ort.Tensor('float32', images.subarray(at * size, (at + n) * size), [n, channels, height, width]);
    const made = (await session.run({ image })).logits;
    if (made.dims.join() !== [n, classes].join()) throw new Error(`logits are ${made.dims}`);
    for (let i = 0; i < n; i++) {
      const have = row(made.data, i), want = row(logits, at + i);
      const largest = Math.max(...want.map(Math.abs)) || 1;
      const off = Math.max(...want.map((w, k) => Math.abs(w - have[k]))) / largest;
      result.moved += !(off < 1e-4);
      result.worst = Math.max(result.worst, off);
      if (top(have) === top(want)) result.top1_equal++; else result.unlike.push(at + i);
    }
  }
  result.images_per_second = count / (Number(process.hrtime.bigint() - begun) / 1e9);
  return result;
}

(async () => {
  for (const file of files) {
    let result;
    try {
      result = await compare(file);
    } catch (error) {
      result = { file: path.basename(file), top1_equal: 0, error: String(error.message) };
    }
    console.log(JSON.stringify({ ...result, onnxruntime: version }));
    if (!(result.top1_equal >= Number(least) * count)) process.exitCode = 1;
  }
})();
