import { transcodeStage } from './transcode.ts';

export const stage = transcodeStage('transcode, raw', 'raw');
