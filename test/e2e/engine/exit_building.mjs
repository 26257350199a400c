// Exits while TensorRT builds.
import {buildEngine} from '../../../dist/index.js';

void buildEngine(process.env.MODEL, {
  ...JSON.parse(process.env.OPTIONS),
  onProgress({phase, detail}) {
    if (phase !== 'build' || detail === 'starting') return;
    console.log('building');
    process.exit(0);
  },
});
