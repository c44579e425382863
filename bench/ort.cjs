// Times what bench/ort_models.py wrote with ONNX Runtime: node ort.cjs THREADS MODEL.onnx BATCH [MODEL.onnx BATCH]...
// One line each on stdout: model batch threads, then the least, the median and the least processor seconds. Matrix products take
// turns between as many sessions as outgrow the caches, so that weights come from memory, as in `crumb bench kernels`.
// Needs `npm install onnxruntime-node` in the current folder.
const fs = require('fs');
const ort = require(require.resolve('onnxruntime-node', { paths: [process.cwd()] }));
const threads = Number(process.argv[2]);
const seconds = 1.0, calls = { least: 5, most: 5000 }, outgrown = 1 << 27; // bytes

function shapeOf(name, batch) {
  const columns = /matrix-\d+x(\d+)/.exec(name);
  const size = name.includes('resnet18') ? 224 : 32;
  return columns ? [batch, Number(columns[1])] : [batch, 3, size, size];
}

async function time(path, batch) {
  const sessions = [], bytes = fs.statSync(path).size;
  do {
    sessions.push(await ort.InferenceSession.create(path, { intraOpNumThreads: threads, logSeverityLevel: 3 }));
  } while (path.includes('matrix') && sessions.length * bytes < outgrown);
  const dims = shapeOf(path, batch), count = dims.reduce((a, b) => a * b);
  const feed = { x: new ort.Tensor('float32', Float32Array.from({ length: count }, () => Math.random()), dims) };
  const taken = [];
  let processor = Infinity;
  for (let i = 0; i < Math.max(3, sessions.length); i++) await sessions[i % sessions.length].run(feed);
  for (let all = 0; taken.length < calls.least || (all < seconds && taken.length < calls.most);) {
    const session = sessions[taken.length % sessions.length];
    const start = process.hrtime.bigint(), before = process.cpuUsage();
    await session.run(feed);
    const used = process.cpuUsage(before);
    processor = Math.min(processor, (used.user + used.system) / 1e6);
    taken.push(Number(process.hrtime.bigint() - start) / 1e9);
    all += taken[taken.length - 1];
  }
  taken.sort((a, b) => a - b);
  console.log(path, batch, threads, taken[0], taken[taken.length >> 1], processor);
}

(async () => {
  for (let i = 3; i + 1 < process.argv.length; i += 2) await time(process.argv[i], Number(process.argv[i + 1]));
})();
