using Google.Protobuf.Reflection;
using Official = Temporalio.Api.WorkflowService.V1;
using Ours = Stigmer.Rpc.Temporal;

namespace Stigmer.Tests.Rpc;

/// <summary>What is declared below Protos/temporal is on the wire what Temporal itself declares.</summary>
public class TemporalDescriptorTests
{
    static readonly IReadOnlyDictionary<string, FileDescriptor> OurFiles = FilesBehind(Ours.WorkflowserviceReflection.Descriptor,
        Ours.ErrordetailsReflection.Descriptor, Ours.Updates.UpdateReflection.Descriptor);

    static readonly IReadOnlyDictionary<string, FileDescriptor> OfficialFiles = FilesBehind(Official.ServiceReflection.Descriptor,
        Temporalio.Api.ErrorDetails.V1.MessageReflection.Descriptor, Temporalio.Api.Update.V1.MessageReflection.Descriptor);

    static readonly Dictionary<string, MessageDescriptor> OfficialMessages =
        OfficialFiles.Values.SelectMany(file => file.MessageTypes).SelectMany(WithNested).ToDictionary(message => message.FullName);

    static readonly Dictionary<string, EnumDescriptor> OfficialEnums =
        OfficialFiles.Values.SelectMany(file => file.EnumTypes).ToDictionary(declared => declared.FullName);

    public static TheoryData<string> Messages() => new(OurFiles.Values.SelectMany(file => file.MessageTypes).SelectMany(WithNested)
        .Select(message => message.FullName));

    public static TheoryData<string> Enums() => new(OurFiles.Values.SelectMany(file => file.EnumTypes).Select(declared => declared.FullName));

    [Fact]
    public void The_comparison_covers_messages_of_every_package()
    {
        Assert.True(OurFiles.Count >= 13, $"only {OurFiles.Count} files were found");
        Assert.True(Messages().Count > 120);
        Assert.All(OurFiles.Values, file => Assert.StartsWith("temporal.api.", file.Package));
    }

    [Theory, MemberData(nameof(Messages))]
    public void A_message_has_Temporals_numbers_types_and_labels(string name)
    {
        Assert.True(OfficialMessages.TryGetValue(name, out var official), $"Temporal has no message {name}");
        var ours = OurFiles.Values.SelectMany(file => file.MessageTypes).SelectMany(WithNested).Single(message => message.FullName == name);
        foreach (var field in ours.Fields.InDeclarationOrder())
        {
            var counterpart = official.FindFieldByName(field.Name);
            Assert.True(counterpart is not null, $"Temporal's {name} has no field {field.Name}");
            Assert.Equal(Shape(counterpart), Shape(field));
        }
    }

    [Theory, MemberData(nameof(Enums))]
    public void An_enumeration_has_Temporals_values(string name)
    {
        Assert.True(OfficialEnums.TryGetValue(name, out var official), $"Temporal has no enumeration {name}");
        var ours = OurFiles.Values.SelectMany(file => file.EnumTypes).Single(declared => declared.FullName == name);
        Assert.Equal(official.Values.Select(value => (value.Name, value.Number)), ours.Values.Select(value => (value.Name, value.Number)));
    }

    [Fact]
    public void A_method_has_Temporals_path_and_messages()
    {
        var ours = Ours.WorkflowService.Descriptor;
        var official = Official.ServiceReflection.Descriptor.Services.Single(service => service.Name == "WorkflowService");
        Assert.Equal(official.FullName, ours.FullName);
        Assert.NotEmpty(ours.Methods);
        foreach (var method in ours.Methods)
        {
            var counterpart = official.FindMethodByName(method.Name);
            Assert.True(counterpart is not null, $"Temporal has no method {method.Name}");
            Assert.Equal((counterpart.InputType.FullName, counterpart.OutputType.FullName, counterpart.IsClientStreaming, counterpart.IsServerStreaming),
                (method.InputType.FullName, method.OutputType.FullName, method.IsClientStreaming, method.IsServerStreaming));
        }
    }

    static string Shape(FieldDescriptor field) => string.Join(' ', field.ContainingType.FullName, field.Name, field.FieldNumber,
        field.IsMap ? "map" : field.IsRepeated ? field.IsPacked ? "packed" : "repeated" : "single", field.HasPresence ? "presence" : "-",
        field.RealContainingOneof?.Name ?? "-", field.IsMap ? $"{Type(field.MessageType.Fields[1])}→{Type(field.MessageType.Fields[2])}" : Type(field));

    static string Type(FieldDescriptor field) => field.FieldType switch
    {
        FieldType.Message => field.MessageType.FullName,
        FieldType.Enum => field.EnumType.FullName,
        var scalar => scalar.ToString(),
    };

    static IEnumerable<MessageDescriptor> WithNested(MessageDescriptor message) =>
        message.GetOptions()?.MapEntry == true ? [] : message.NestedTypes.SelectMany(WithNested).Prepend(message);

    static Dictionary<string, FileDescriptor> FilesBehind(params FileDescriptor[] roots)
    {
        var found = new Dictionary<string, FileDescriptor>();
        var pending = new Stack<FileDescriptor>(roots);
        while (pending.TryPop(out var file))
        {
            if (!file.Package.StartsWith("temporal.", StringComparison.Ordinal) || !found.TryAdd(file.Name, file)) continue;
            foreach (var dependency in file.Dependencies) pending.Push(dependency);
        }
        return found;
    }
}
