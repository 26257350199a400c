// The process exits while activities are being collected and work is under way.
import {Device} from '../../../dist/native/device.js';
import {GpuCollection} from '../../../dist/native/gpu_collection.js';

const device = Device.open(0);
const stream = device.createStream('busy');
const memory = device.allocate(1 << 20, stream);
const host = device.allocatePinned(1 << 20);
const collection = await GpuCollection.start();
for (let i = 0; i < 100; i++) stream.copyToDevice(memory, host);
await new Promise((resolve) => setTimeout(resolve, 30));
collection.take();
console.log('done');
if (process.argv[2] === 'exit') process.exit(0);
stream.dispose();
