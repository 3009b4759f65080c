using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Google.Protobuf;
using Stigmer.Rpc.Temporal;

namespace Stigmer.Agents.Worker;

/// <summary>Temporal's <c>json/plain</c>: one value as UTF-8 JSON.</summary>
static class JsonPayload
{
    /// <summary>A value on its way to the engine.</summary>
    public static Payloads Of<T>(T value, JsonTypeInfo<T> type) => new()
    {
        Payloads_ =
        {
            new Payload
            {
                Metadata = { ["encoding"] = ByteString.CopyFromUtf8("json/plain") },
                Data = UnsafeByteOperations.UnsafeWrap(JsonSerializer.SerializeToUtf8Bytes(value, type)),
            },
        },
    };

    /// <summary>The first value of what the engine kept. Fails with <see cref="JsonException"/> where there is none of that type.</summary>
    public static T Read<T>(Payloads? payloads, JsonTypeInfo<T> type)
        where T : class =>
        payloads is { Payloads_: [var first, ..] } && JsonSerializer.Deserialize(first.Data.Span, type) is { } value
            ? value
            : throw new JsonException($"There is no {typeof(T).Name} where one was expected");
}
