
namespace Stigmer.Server.Runs;

// What engines are to be asked stands here until they have taken it.
sealed partial class RunStore
{
    /// <summary>One request to an engine.</summary>
    /// <param name="Number">Its place: in order per run.</param>
    /// <param name="Kind">start, bell, cancel, terminate, fail.</param>
    /// <param name="Said">The row that caused it, for bell and cancel.</param>
    /// <param name="Activity">For fail: the activity's id.</param>
    public sealed record Request(
        long Number, long Run, string Workflow, string Kind, long? Said, string? SaidKind, int Step, int Slot, string? Activity);

    /// <summary>The first requests of each run that wait for the engine. Workflows that are no longer bound are ended first of all.</summary>
    public Task<List<Request>> Waiting(string engine) => database.Read(c =>
    {
        const string Columns =
            "SELECT o.number, o.run, o.workflow, o.kind, o.said, s.kind, coalesce(s.step, 0), coalesce(s.slot, 0), o.activity "
            + "FROM outbox o LEFT JOIN said s ON s.run = o.run AND s.number = o.said ";
        List<Request> Select(string where) => c.Query(
            Columns + where,
            r => new Request(
                r.GetInt64(0), r.GetInt64(1), r.GetString(2), r.GetString(3), r.IsDBNull(4) ? null : r.GetInt64(4), r.IsDBNull(5) ? null : r.GetString(5),
                r.GetInt32(6), r.GetInt32(7), r.IsDBNull(8) ? null : r.GetString(8)),
            engine);
        var ends = Select("WHERE o.engine = $1 AND o.kind = 'terminate' ORDER BY o.number LIMIT 256");
        return ends.Count > 0
            ? ends
            : Select("WHERE o.number IN (SELECT min(number) FROM outbox WHERE engine = $1 GROUP BY run) ORDER BY o.number LIMIT 256");
    });

    /// <summary>The engine has taken the requests; workflows of <paramref name="over"/> have nothing more to be asked.</summary>
    public Task Taken(IReadOnlyCollection<long> numbers, IReadOnlyCollection<string> over) => database.Write(t =>
    {
        foreach (var number in numbers) t.Execute("DELETE FROM outbox WHERE number = $1", number);
        foreach (var workflow in over) t.Execute("UPDATE bindings SET state = 2 WHERE workflow = $1", workflow);
    });
}
