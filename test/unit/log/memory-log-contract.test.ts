import { MemoryLog } from '../../../src/log/memory-log.ts';
import { logContract } from '../../support/log-contract.ts';

describe('log contract: memory', () => {
  logContract(async () => async () => new MemoryLog('topic'));
});
