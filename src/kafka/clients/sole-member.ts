import { randomUUID } from 'node:crypto';
import { ASSIGNER_PROTOCOL, type PartitionAssigner } from './kafkajs.ts';

const VERSION = 0;

/**
 * Assigns all partitions of a group to its leader, which is the member that was there first, and none to others: who
 * is assigned nothing knows that the group has a reader. (kafkajs knows no leader while it assigns: it is the
 * member that runs this, and recognises itself by a token.)
 */
export function soleMember(): PartitionAssigner {
  const token = Buffer.from(randomUUID());
  return ({ cluster }) => ({
    name: 'sluice-sole-member',
    version: VERSION,
    assign({ members, topics }) {
      const all = Object.fromEntries(
        topics.map((topic) => [
          topic,
          cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId),
        ]),
      );
      const self = members.filter(
        ({ memberMetadata }) =>
          ASSIGNER_PROTOCOL.MemberMetadata.decode(memberMetadata)?.userData.equals(token) === true,
      );
      return Promise.resolve(
        self.map(({ memberId }) => ({
          memberId,
          memberAssignment: ASSIGNER_PROTOCOL.MemberAssignment.encode({
            version: VERSION,
            assignment: all,
            userData: Buffer.alloc(0),
          }),
        })),
      );
    },
    protocol({ topics }) {
      return {
        name: 'sluice-sole-member',
        metadata: ASSIGNER_PROTOCOL.MemberMetadata.encode({ version: VERSION, topics, userData: token }),
      };
    },
  });
}
