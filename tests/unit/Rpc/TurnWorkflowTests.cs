using Stigmer.Rpc;

namespace Stigmer.Tests.Rpc;

public class TurnWorkflowTests
{
    [Theory]
    [InlineData("r/1/1", 1, 2, true)]
    [InlineData("r/1/2", 1, 2, true)]
    [InlineData("r/1/3", 1, 2, false)]
    [InlineData("r/1/3", 1, 0, true)]
    [InlineData("r/10/1", 1, 0, false)]
    [InlineData("r2/1/1", 1, 0, false)]
    [InlineData("somebody else's", 1, 0, false)]
    public void What_has_ended_concerns_the_lives_of_the_turn_up_to_the_one_that_ended(string workflow, int turn, int life, bool concerned) =>
        Assert.Equal(concerned, TurnWorkflow.IsOf(workflow, "r", turn, life));
}
