using System.Buffers.Binary;
using Google.Protobuf;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Server.Engine;

/// <summary>Names one start of one task. Opaque to workers.</summary>
/// <param name="ScheduledEventId">The activity's; 0: the run's workflow task.</param>
readonly record struct TaskToken(long RunKey, long ScheduledEventId, long Nonce)
{
    const byte Kind = 1;

    public ByteString ToBytes()
    {
        var bytes = new byte[25];
        bytes[0] = Kind;
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(1), RunKey);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(9), ScheduledEventId);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(17), Nonce);
        return UnsafeByteOperations.UnsafeWrap(bytes);
    }

    /// <exception cref="Grpc.Core.RpcException">InvalidArgument: not one of ours.</exception>
    public static TaskToken Parse(ByteString token)
    {
        var bytes = token.Span;
        if (bytes.Length != 25 || bytes[0] != Kind) throw Errors.Invalid(token.IsEmpty ? "Task token not set on request" : "Invalid TaskToken");
        return new TaskToken(BinaryPrimitives.ReadInt64BigEndian(bytes[1..]), BinaryPrimitives.ReadInt64BigEndian(bytes[9..]),
            BinaryPrimitives.ReadInt64BigEndian(bytes[17..]));
    }
}

/// <summary>Where a reader of a history goes on.</summary>
/// <param name="NextEventId">The first event that is still to be read.</param>
/// <param name="ToEventId">The end (exclusive) of what was there when reading began.</param>
/// <param name="Unwritten">For a worker: what follows the stored events.</param>
readonly record struct PageToken(long RunKey, long NextEventId, long ToEventId, IReadOnlyList<HistoryEvent> Unwritten)
{
    const byte Kind = 2;

    public ByteString ToBytes()
    {
        var tail = new History { Events = { Unwritten } };
        var bytes = new byte[25 + tail.CalculateSize()];
        bytes[0] = Kind;
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(1), RunKey);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(9), NextEventId);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(17), ToEventId);
        tail.WriteTo(bytes.AsSpan(25));
        return UnsafeByteOperations.UnsafeWrap(bytes);
    }

    /// <exception cref="Grpc.Core.RpcException">InvalidArgument: not one of ours.</exception>
    public static PageToken Parse(ByteString token)
    {
        var bytes = token.Span;
        if (bytes.Length < 25 || bytes[0] != Kind) throw Errors.Invalid("Invalid NextPageToken");
        try
        {
            return new PageToken(BinaryPrimitives.ReadInt64BigEndian(bytes[1..]), BinaryPrimitives.ReadInt64BigEndian(bytes[9..]),
                BinaryPrimitives.ReadInt64BigEndian(bytes[17..]), History.Parser.ParseFrom(bytes[25..]).Events);
        }
        catch (InvalidProtocolBufferException)
        {
            throw Errors.Invalid("Invalid NextPageToken");
        }
    }
}
