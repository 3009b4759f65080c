using System.CommandLine;
using Stigmer.Rpc.V1;

namespace Stigmer.Commands;

/// <summary><c>stigmer runs …</c>: what was started with <c>stigmer run</c>.</summary>
static class Runs
{
    /// <summary>The group.</summary>
    public static Command Create() => Group.Create(
        "runs", "List runs, look at them, answer them, cancel them or go on with them",
        RunsList.Create(), RunsGet.Create(), RunsWatch.Create(), RunsCancel.Create(), RunsSend.Create(), RunsDecide.Approve(), RunsDecide.Deny(),
        RunsResume.Create());

    /// <summary>The run that a command is about.</summary>
    public static Argument<string> IdArgument() => new("ID") { Description = "The run's id, a unique beginning of it, or last" };

    /// <summary>The run by its id, a unique beginning of it, or last, with its transcript.</summary>
    public static async Task<GetRunResponse> Find(ServerLink link, string id, CancellationToken cancel)
    {
        Task<GetRunResponse> Get(GetRunRequest request) => link.Call((client, options) => client.GetRunAsync(request, options).ResponseAsync, cancel);

        var found = await Get(new GetRunRequest { Run = id });
        for (var next = found.Next; next is not null;)
        {
            var more = await Get(next);
            found.Transcript.Add(more.Transcript);
            found.Run = more.Run;
            next = more.Next;
        }
        return found;
    }

    /// <summary>An id as the server knows it. Fails with exit code 2 on what cannot be one.</summary>
    public static string Id(string typed)
    {
        var id = typed.ToLowerInvariant();
        return id == "last" || (id.Length is > 0 and <= 32 && id.All(char.IsAsciiHexDigitLower))
            ? id
            : throw new Failure($"\"{typed}\" is no run's id", "an id has 32 hexadecimal digits", "`stigmer runs list` shows them; a unique beginning or last will do", ExitCode.Failed);
    }
}
