using System.Diagnostics.CodeAnalysis;
using Google.Protobuf;
using Grpc.AspNetCore.Server.Model;
using Grpc.Core;

namespace Stigmer.Server.Api;

/// <summary>
/// The methods of a gRPC service, declared one by one. The generated way binds them by a generic virtual method, which a
/// native executable has to put together anew for every method at every start: a millisecond and some 300 KB each.
/// A service that is declared so does not derive from its generated base; what it does not declare answers Unimplemented.
/// </summary>
/// <param name="service">The service's full name.</param>
/// <param name="faults">Turns exceptions into statuses; null: gRPC's own way.</param>
/// <param name="declare">Declares the methods.</param>
sealed class ServiceMethods<[DynamicallyAccessedMembers(
    DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicMethods | DynamicallyAccessedMemberTypes.NonPublicMethods)] TService>(
    string service, Faults? faults, Action<ServiceMethods<TService>.Declaration> declare) : IServiceMethodProvider<TService>
    where TService : class
{
    /// <inheritdoc/>
    public void OnServiceMethodDiscovery(ServiceMethodProviderContext<TService> context) => declare(new Declaration(service, faults, context));

    /// <summary>Takes the declarations. The names are the rpcs' own.</summary>
    public sealed class Declaration(string service, Faults? faults, ServiceMethodProviderContext<TService> context)
    {
        public void Unary<TRequest, TResponse>(string name, Func<TService, TRequest, ServerCallContext, Task<TResponse>> call)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse>, new() =>
            context.AddUnaryMethod<TRequest, TResponse>(
                Method<TRequest, TResponse>(MethodType.Unary, name), [],
                (target, request, caller) => faults is null ? call(target, request, caller) : faults.Guard(() => call(target, request, caller), caller));

        public void ServerStream<TRequest, TResponse>(string name, Func<TService, TRequest, IServerStreamWriter<TResponse>, ServerCallContext, Task> call)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse>, new() =>
            context.AddServerStreamingMethod<TRequest, TResponse>(
                Method<TRequest, TResponse>(MethodType.ServerStreaming, name), [],
                (target, request, responses, caller) =>
                    faults is null ? call(target, request, responses, caller) : faults.Guard(() => call(target, request, responses, caller), caller));

        public void ClientStream<TRequest, TResponse>(string name, Func<TService, IAsyncStreamReader<TRequest>, ServerCallContext, Task<TResponse>> call)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse>, new() =>
            context.AddClientStreamingMethod<TRequest, TResponse>(
                Method<TRequest, TResponse>(MethodType.ClientStreaming, name), [],
                (target, requests, caller) => faults is null ? call(target, requests, caller) : faults.Guard(() => call(target, requests, caller), caller));

        public void Duplex<TRequest, TResponse>(
            string name, Func<TService, IAsyncStreamReader<TRequest>, IServerStreamWriter<TResponse>, ServerCallContext, Task> call)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse>, new() =>
            context.AddDuplexStreamingMethod<TRequest, TResponse>(
                Method<TRequest, TResponse>(MethodType.DuplexStreaming, name), [],
                (target, requests, responses, caller) =>
                    faults is null ? call(target, requests, responses, caller) : faults.Guard(() => call(target, requests, responses, caller), caller));

        Method<TRequest, TResponse> Method<TRequest, TResponse>(MethodType type, string name)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse>, new() =>
            new(type, service, name, Marshaller<TRequest>(), Marshaller<TResponse>());

        static Marshaller<T> Marshaller<T>() where T : class, IMessage<T>, new() => Marshallers.Create<T>(
            (message, target) =>
            {
                target.SetPayloadLength(message.CalculateSize());
                message.WriteTo(target.GetBufferWriter());
                target.Complete();
            },
            source =>
            {
                var message = new T();
                message.MergeFrom(source.PayloadAsReadOnlySequence());
                return message;
            });
    }
}
