namespace Stigmer.Agents.Llm;

/// <summary>Whether Ollama answers and has the model: what <c>local</c> and <c>status</c> say, in the words of a failing run.</summary>
/// <param name="Reachable">It answers.</param>
/// <param name="ModelAvailable">It has the model.</param>
/// <param name="Problem">What is wrong and what helps; null: nothing.</param>
sealed record OllamaStatus(bool Reachable, bool ModelAvailable, ModelFailure? Problem)
{
    /// <summary>What is wrong, as a sentence; null: nothing.</summary>
    public string? Detail => Problem?.Message;

    /// <summary>What helps.</summary>
    public string? Remedy => Problem?.Remedy;

    /// <summary>Asks Ollama; takes 5 s at most and fails with nothing but cancellation.</summary>
    public static Task<OllamaStatus> Check(string baseUrl, string model, CancellationToken cancel) =>
        throw new NotImplementedException($"{baseUrl}{model}{cancel}");
}
