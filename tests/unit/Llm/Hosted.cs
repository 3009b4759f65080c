using System.Text.Json;
using Google.Protobuf;
using Microsoft.Extensions.AI;
using Stigmer.Agents.Llm;
using Stigmer.Agents.Tools;
using Stigmer.Config;
using Stigmer.Rpc.V1;
using Stigmer.Standins;

namespace Stigmer.Tests.Llm;

/// <summary>A stand-in for a hosted provider in this process, a client of it, and a transcript that grows as a run's does.</summary>
sealed class Hosted : IAsyncDisposable
{
    public const string Key = "sk-secret";

    readonly StringWriter journal = new();
    readonly HostedStandin standin;

    Hosted(HostedStandin standin, LlmSettings settings, StringWriter journal)
    {
        (this.standin, Settings, this.journal) = (standin, settings, journal);
        Client = ChatClients.Create(settings, new Secret(Key));
    }

    public LlmSettings Settings { get; private set; }

    public IChatClient Client { get; private set; }

    public List<TranscriptEntry> Transcript { get; } = [];

    /// <summary>What a watcher saw of the last answer.</summary>
    public string Streamed { get; private set; } = "";

    /// <summary>The bodies of the calls so far.</summary>
    public IReadOnlyList<JsonElement> Calls => [.. Lines().Where(line => line.Body is not null).Select(line => line.Body!.Value)];

    /// <summary>How each of them ended.</summary>
    public IReadOnlyList<string> Ends => [.. Lines().Where(line => line.Ended is not null).Select(line => line.Ended!)];

    public static Task<Hosted> Anthropic(params HostedAnswer[] answers) => Anthropic(new HostedModel("claude-sonnet-5-5"), answers);

    public static async Task<Hosted> Anthropic(HostedModel model, params HostedAnswer[] answers)
    {
        var journal = new StringWriter();
        var standin = await HostedStandin.Start("anthropic", new HostedScript { Key = Key, Models = [model], Answers = answers }, journal);
        return new Hosted(standin, new LlmSettings(LlmProvider.Anthropic, model.Name, standin.Url, 8192, null, null, null), journal);
    }

    public static async Task<Hosted> OpenAi(HostedModel model, params HostedAnswer[] answers)
    {
        var journal = new StringWriter();
        var standin = await HostedStandin.Start("openai", new HostedScript { Key = Key, Models = [model], Answers = answers }, journal);
        return new Hosted(standin, new LlmSettings(LlmProvider.OpenAI, model.Name, standin.Url + "/v1", 8192, null, null, null), journal);
    }

    /// <summary>Another client of the same server.</summary>
    public void With(Func<LlmSettings, LlmSettings> change, IChatClient? client = null)
    {
        Client.Dispose();
        Settings = change(Settings);
        Client = client ?? ChatClients.Create(Settings, new Secret(Key));
    }

    public Hosted Say(string text)
    {
        var number = Transcript.Count(entry => entry.User is not null) + 1;
        Transcript.Add(new TranscriptEntry { Turn = number, Step = 1, Slot = -1, User = new UserMessage { Number = number, Text = text } });
        return this;
    }

    /// <summary>Asks once and keeps the answer, as CallModel does.</summary>
    public async Task<ModelAnswer> Ask(string instructions = "Be brief.")
    {
        var turn = Transcript.Max(entry => entry.Turn);
        var step = Transcript.Where(entry => entry.Turn == turn && entry.Answer is not null).Select(entry => entry.Step).DefaultIfEmpty().Max() + 1;
        Streamed = "";
        var answer = await new ModelCall(Settings, instructions, [.. Transcript], WorkspaceTools.All, step).Ask(
            Client, text => { Streamed += text; return Task.CompletedTask; }, TestContext.Current.CancellationToken);
        // As the server stores it.
        Transcript.Add(new TranscriptEntry { Turn = turn, Step = step, Slot = 0, Answer = ModelAnswer.Parser.ParseFrom(answer.ToByteArray()) });
        return answer;
    }

    /// <summary>Gives every call of the last answer a result.</summary>
    public Hosted Answer(string text, bool ok = true)
    {
        var last = Transcript.Last(entry => entry.Answer is not null);
        foreach (var call in last.Answer.Calls)
        {
            Transcript.Add(new TranscriptEntry { Turn = last.Turn, Step = last.Step, Slot = call.Slot, Result = new ToolResult { CallId = call.Id, Ok = ok, Text = text } });
        }
        return this;
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await standin.DisposeAsync();
    }

    List<OllamaJournalLine> Lines()
    {
        lock (journal) return [.. journal.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonSerializer.Deserialize(line, OllamaScriptJson.Default.OllamaJournalLine)!)];
    }
}
