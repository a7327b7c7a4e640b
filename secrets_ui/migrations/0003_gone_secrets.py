from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('secrets_ui', '0002_waiting_versions'),
    ]

    operations = [
        migrations.AddField(
            model_name='secret',
            name='gone_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
