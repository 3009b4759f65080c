using Microsoft.Extensions.AI;
using Stigmer.Config;

namespace Stigmer.Agents.Llm;

/// <summary>Makes the client of a provider.</summary>
static class ChatClients
{
    /// <summary>
    /// A client for this model. Keep it for as long as the settings hold: it remembers what it learnt about the model (its
    /// window, whether it takes tools) and its connections. Its calls fail with <see cref="ModelFailure"/> and never retry.
    /// </summary>
    /// <param name="settings">The model.</param>
    /// <param name="key">The provider's key; null where there is none.</param>
    /// <param name="time">The clock of its timers; null: the system's.</param>
    /// <param name="handler">How requests go out; null: a handler of its own, which spares loopback the proxy.</param>
    /// <exception cref="ModelFailure">The base URL is none.</exception>
    public static IChatClient Create(LlmSettings settings, Secret? key = null, TimeProvider? time = null, HttpMessageHandler? handler = null)
    {
        time ??= TimeProvider.System;
        return settings.Provider switch
        {
            LlmProvider.Ollama => new OllamaClient(settings, time, handler),
            LlmProvider.Anthropic => new AnthropicClient(settings, key, time, handler),
            LlmProvider.Demo => new DemoClient(settings),
            LlmProvider.OpenAI when Providers.IsOwnHost(settings.Provider, settings.BaseUrl) => new OpenAiResponsesClient(settings, key, time, handler),
            LlmProvider.OpenAI => new OpenAiChatClient(settings, key, time, handler),
            _ => throw new ArgumentOutOfRangeException(nameof(settings), settings.Provider, null),
        };
    }
}
