// Ends without giving pinned memory back: process.exit runs no finaliser of the main thread.
import {Device} from '../../../dist/native/device.js';

globalThis.kept = Device.open(0).allocatePinned(4096);
process.exit(0);
