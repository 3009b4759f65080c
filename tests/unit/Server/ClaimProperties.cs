using CsCheck;
using Stigmer.Rpc.V1;

namespace Stigmer.Tests.Server;

public class ClaimProperties
{
    static readonly string[] Runners = ["A", "B", "C"];

    enum Act { Claim, Append, GiveBack, TimePasses, Beat, Die, KillServer, Cancel }

    static readonly Act[] Often =
    [
        Act.Claim, Act.Claim, Act.Claim, Act.Claim, Act.Claim, Act.Append, Act.Append, Act.GiveBack, Act.GiveBack, Act.TimePasses, Act.TimePasses, Act.Beat,
        Act.Beat, Act.Die, Act.KillServer, Act.Cancel,
    ];

    /// <summary>What three runners and the world do to one slot, in any order.</summary>
    static readonly Gen<(Act Act, int Runner)[]> Story = Gen.Select(
        Gen.Int[0, Often.Length - 1].Select(i => Often[i]),
        Gen.Int[0, 2]).Array[1, 25];

    [Fact]
    public void A_slot_never_has_two_results_nor_two_claims_that_live_and_no_begun_work_is_forgotten() => Story.Sample(
        story => Check(story).GetAwaiter().GetResult(), iter: 60, threads: 1);

    [Fact]
    public async Task Of_many_that_race_for_a_slot_one_gets_it_and_of_many_results_one_is_stored()
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        var answers = await Task.WhenAll(Enumerable.Range(0, 40).Select(i => Task.Run(() => store.Claim(run, $"runner-{i}", 1))));
        Assert.Single(answers, a => a.Yours is not null);
        Assert.Equal(39, answers.Count(a => a.Held is not null));
        var holder = Array.FindIndex(answers, a => a.Yours is not null);
        var stored = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Task.Run(() => store.Answer(run, $"runner-{holder}", 1, $"text {i}"))));
        Assert.Single(stored.Select(s => s.Stored.Answer.Text).Distinct());
    }

    static async Task Check((Act Act, int Runner)[] story)
    {
        await using var store = await Store.Open();
        var run = await store.Start();
        var workflow = await store.Workflow(run);
        string? result = null;
        var dead = new HashSet<string>();
        var claimed = new HashSet<string>();
        // Live claims as the model sees them: at most one, and whether work may have begun before.
        string? holder = null;
        var begun = false;
        var closed = false;
        foreach (var (act, index) in story)
        {
            var runner = Runners[index];
            switch (act)
            {
                case Act.Claim:
                    var answer = await store.Claim(run, runner, 1, workflow: workflow);
                    if (closed || dead.Contains(runner)) Assert.NotNull(answer.Refused);
                    else if (result is not null) Assert.Equal(result, answer.Stored.Answer.Text);
                    else if (answer.Yours is { } yours)
                    {
                        // Another may only take over from who is away, and then the work counts as begun.
                        if (holder is not null) Assert.True(yours.BegunBefore);
                        begun |= holder is not null;
                        Assert.Equal(begun, yours.BegunBefore);
                        holder = runner;
                        claimed.Add(runner);
                    }
                    else Assert.Equal(holder, answer.Held.ByRunnerLife);
                    break;
                case Act.Append:
                    var stored = await store.Answer(run, runner, 1, $"by {runner}");
                    if (result is not null) Assert.Equal(result, stored.Stored.Answer.Text);
                    else if (closed || !claimed.Contains(runner)) Assert.True(stored.Refused);
                    else
                    {
                        Assert.Equal($"by {runner}", stored.Stored.Answer.Text);
                        (result, holder) = (stored.Stored.Answer.Text, null);
                    }
                    break;
                case Act.GiveBack:
                    await store.GiveBack(run, runner, 1, 0, begun: index == 0);
                    if (holder == runner) (holder, begun) = (null, begun || index == 0);
                    break;
                case Act.TimePasses:
                    store.Time.Advance(TimeSpan.FromSeconds(8));
                    // Who fell silent falls in a write of its own, which stands before this one.
                    await store.Database.Write(_ => { });
                    break;
                case Act.Beat:
                    if (!dead.Contains(runner)) store.Runs.Runners.Heard(runner);
                    break;
                case Act.Die:
                    if (!dead.Add(runner)) break;
                    await store.Runs.Registered(new RunnerHello { Life = $"successor of {runner}", HostId = "host", Replaces = { runner } });
                    if (holder == runner) (holder, begun) = (null, true);
                    break;
                case Act.KillServer:
                    await store.Kill();
                    await store.Runs.EngineKnown(Store.Here);
                    break;
                case Act.Cancel:
                    await store.Runs.Cancel(new CancelRunRequest { Run = run, Key = "k" });
                    (closed, holder) = (true, null);
                    break;
            }
            // Falls by silence happen on a timer: the model learns of them from the rows, which must agree with the clock.
            var live = await store.Database.Read(c => c.Query("SELECT runner FROM claims WHERE ended_at IS NULL", r => r.GetString(0)));
            Assert.True(live.Count <= 1);
            if (live.Count == 0 && holder is not null)
            {
                Assert.True(store.Runs.Runners.IsAway(holder) && act == Act.TimePasses);
                (holder, begun) = (null, true);
            }
            else if (live.Count == 1) Assert.Equal(holder, live[0]);
            Assert.Equal(result is null ? 0 : 1, await store.Database.Read(c => c.Number("SELECT count(*) FROM slots")));
        }
    }
}
